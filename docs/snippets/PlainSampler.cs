using Grpo.Modeling;
using Grpo.Rollouts;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Snippets;

/// <summary>A sampler from scratch: one group after the other, every row to the length limit.</summary>
public sealed class PlainSampler(ITokenizer tokenizer, IChatTemplate template) : IGroupSampler, IHasIdentity
{
    private readonly PromptEncoder _encoder = new(tokenizer, template);

    public PlugInIdentity Identity => new PlugInIdentity("plain sampler").WithPart("tokenizer", tokenizer).WithPart("template", template);

    public ValueTask<IReadOnlyList<RolloutGroup>> SampleAsync(
        IPolicy policy, RolloutRequest request, CancellationToken cancellationToken = default)
    {
        var groups = new List<RolloutGroup>();
        foreach (Prompt prompt in request.Prompts)
        {
            IReadOnlyList<int> promptIds = _encoder.Encode(prompt, request.Sampling.MaxPromptTokens);
            ulong[] keys = [.. Enumerable.Range(0, request.GroupSize)
                .Select(sample => CounterRandom.Key(request.Seed, request.Step, prompt.Id, sample))];
            long[][] tokens = Decode(policy, promptIds, keys, request.Sampling, cancellationToken);
            IEnumerable<Completion> completions = keys.Select((_, row) => Complete(tokens.Select(column => (int)column[row])));
            groups.Add(new RolloutGroup(prompt, promptIds, [.. completions]));
        }

        return ValueTask.FromResult<IReadOnlyList<RolloutGroup>>(groups);
    }

    // All tensors live and die in here; what comes out is managed: one column of B ids per position.
    private long[][] Decode(
        IPolicy policy, IReadOnlyList<int> promptIds, ulong[] keys, SamplingOptions sampling, CancellationToken cancellationToken)
    {
        using var scope = TensorScope.BeginNoGrad();
        TokenBatch batch = TokenBatchBuilder.Build([new TokenSequence(promptIds, [])], tokenizer.PadTokenId, policy.Device());
        using IDecodingSession session = policy.StartDecoding(batch, keys.Length, sampling.MaxCompletionTokens);
        var columns = new List<long[]>();
        Tensor logits = session.Prefill();                                       // [B, V]
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            using var step = TensorScope.BeginNoGrad();
            Tensor tokens = Pick(logits, sampling.Temperature, keys, columns.Count);     // [B]
            columns.Add([.. tokens.cpu().data<long>()]);
            if (columns.Count == sampling.MaxCompletionTokens)
            {
                return [.. columns];
            }

            logits.Dispose();
            logits = step.Keep(session.Advance(tokens));                         // [B, V]
        }
    }

    // Inverts the cumulative distribution at a uniform number that depends on (seed, step, prompt, sample, position) only.
    private static Tensor Pick(Tensor logits, double temperature, ulong[] keys, int position)
    {
        using var scope = TensorScope.BeginNoGrad();
        if (temperature == 0)
        {
            return scope.Keep(logits.argmax(-1));                                // greedy
        }

        Tensor cumulative = (logits.to(ScalarType.Float64) / temperature).softmax(-1).cumsum(-1);                       // [B, V]
        Tensor uniform = tensor(keys.Select(key => CounterRandom.Uniform(key, position)).ToArray(), device: logits.device);   // [B]
        return scope.Keep(cumulative.le(uniform.unsqueeze(1)).sum(1L).clamp_max(logits.shape[1] - 1));                  // [B]
    }

    private Completion Complete(IEnumerable<int> tokens)
    {
        var ids = new List<int>();
        foreach (int id in tokens)
        {
            ids.Add(id);
            if (_encoder.EndTokenIds.Contains(id))
            {
                return new Completion(ids, tokenizer.Decode(ids), FinishReason.EndToken);   // the end token belongs to it
            }
        }

        return new Completion(ids, tokenizer.Decode(ids), FinishReason.Truncated);
    }
}

using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo;

/// <summary>Samples groups from the policy itself, in this process: prefill once per prompt, then token by token with the key/value cache.</summary>
/// <param name="tokenizer">The policy's tokenizer.</param>
/// <param name="template">The policy's chat template.</param>
public sealed class PolicyGroupSampler(ITokenizer tokenizer, IChatTemplate template) : IGroupSampler
{
    private readonly PromptEncoder _encoder = new(tokenizer, template);

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">A prompt is too long, or the options are out of range.</exception>
    /// <exception cref="TrainingDivergedException">The logits are not finite.</exception>
    public ValueTask<IReadOnlyList<RolloutGroup>> SampleAsync(
        IPolicy policy, RolloutRequest request, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentNullException.ThrowIfNull(request);
        if (GrpoOptionsValidator.ValidateSampling(request.Sampling) is { Count: > 0 } problems)
        {
            throw new ArgumentException(string.Join(" ", problems), nameof(request));
        }

        ArgumentOutOfRangeException.ThrowIfLessThan(request.GroupSize, 1);
        // All prompts are encoded before the first is run: one that is too long must not cost the others' work.
        IReadOnlyList<int>[] promptIds = [.. request.Prompts.Select(prompt => _encoder.Encode(prompt, request.Sampling.MaxPromptTokens))];
        var completions = request.Prompts.Select(_ => new List<Completion>(request.GroupSize)).ToArray();
        int[] firstSamples = FirstSamples(request);

        int samplesPerRound = Math.Min(request.GroupSize, request.Sampling.MaxConcurrentSequences);
        int promptsPerRound = Math.Max(1, request.Sampling.MaxConcurrentSequences / samplesPerRound);
        foreach (int[] prompts in Enumerable.Range(0, promptIds.Length).Chunk(promptsPerRound))
        {
            for (int sample = 0; sample < request.GroupSize; sample += samplesPerRound)
            {
                int count = Math.Min(samplesPerRound, request.GroupSize - sample);
                CompletionBuilder[] rows = [.. prompts.SelectMany(prompt => Enumerable.Range(sample, count).Select(
                    index => new CompletionBuilder(CounterRandom.Key(request.Seed, request.Step, request.Prompts[prompt].Id, firstSamples[prompt] + index))))];
                Decode(policy, [.. prompts.Select(prompt => promptIds[prompt])], rows, request.Sampling, cancellationToken);
                for (int row = 0; row < rows.Length; row++)
                {
                    completions[prompts[row / count]].Add(rows[row].Build(tokenizer));
                }
            }
        }

        return ValueTask.FromResult<IReadOnlyList<RolloutGroup>>(
            [.. request.Prompts.Select((prompt, i) => new RolloutGroup(prompt, promptIds[i], completions[i]))]);
    }

    // A prompt that comes twice in a step would get the same completions twice; its second group goes on counting instead.
    private static int[] FirstSamples(RolloutRequest request)
    {
        var seen = new Dictionary<string, int>(StringComparer.Ordinal);
        return [.. request.Prompts.Select(prompt =>
        {
            int first = seen.GetValueOrDefault(prompt.Id);
            seen[prompt.Id] = first + request.GroupSize;
            return first;
        })];
    }

    private void Decode(
        IPolicy policy, IReadOnlyList<int>[] prompts, CompletionBuilder[] rows, SamplingOptions sampling, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        using var scope = TensorScope.BeginNoGrad();
        Device device = policy.Device();
        TokenBatch batch = TokenBatchBuilder.Build([.. prompts.Select(ids => new TokenSequence(ids, []))], tokenizer.PadTokenId, device);
        int groupSize = rows.Length / prompts.Length;
        using IDecodingSession session = policy.StartDecoding(batch, groupSize, sampling.MaxCompletionTokens);

        CompletionRow[] active = [.. rows.Select((completion, row) => new CompletionRow(completion, prompts[row / groupSize]))];
        Tensor logits = session.Prefill();                                                              // [B, V]
        for (int position = 0; ; position++)
        {
            PickedToken[] tokens = Pick(logits, active, sampling, position);
            logits.Dispose();
            for (int row = 0; row < active.Length; row++)
            {
                if (!active[row].Completion.IsFinished)
                {
                    active[row].Completion.Append(tokens[row], tokenizer.EndTokenIds);
                }
            }

            int[] unfinished = [.. Enumerable.Range(0, active.Length).Where(row => !active[row].Completion.IsFinished)];
            if (unfinished.Length == 0 || position + 1 == sampling.MaxCompletionTokens)
            {
                return;
            }

            // Leaving copies the cache, so it is worth it only for several rows at once.
            if (unfinished.Length <= active.Length * 3 / 4)
            {
                session.KeepRows(unfinished);
                active = [.. unfinished.Select(row => active[row])];
                tokens = [.. unfinished.Select(row => tokens[row])];
            }

            cancellationToken.ThrowIfCancellationRequested();
            using Tensor next = tensor(tokens.Select(token => (long)token.Id).ToArray(), device: device);   // [B]
            logits = session.Advance(next);
        }
    }

    private static PickedToken[] Pick(Tensor logits, CompletionRow[] rows, SamplingOptions sampling, int position)
    {
        TensorGuard.Require(logits, nameof(logits), "[B, V]", rows.Length, -1);
        if (logits.device_type != DeviceType.CPU && !sampling.HasFilters)
        {
            return DeviceTokenPicker.Pick(logits, sampling.Temperature, [.. rows.Select(row => CounterRandom.Uniform(row.Completion.RandomKey, position))]);
        }

        using var scope = TensorScope.BeginNoGrad();
        Tensor host = logits.to(ScalarType.Float32).cpu().contiguous();
        int vocabulary = checked((int)host.shape[1]);
        var tokens = new PickedToken[rows.Length];
        for (int row = 0; row < rows.Length; row++)
        {
            if (!rows[row].Completion.IsFinished)
            {
                using Tensor line = host.select(0, row);
                Span<float> values = MemoryMarshal.Cast<byte, float>(line.bytes)[..vocabulary];
                tokens[row] = Pick(values, rows[row], sampling, position);
            }
        }

        return tokens;
    }

    private static PickedToken Pick(Span<float> logits, CompletionRow row, SamplingOptions sampling, int position)
    {
        if (sampling.Temperature == 0 && !sampling.HasFilters)
        {
            return TokenPicker.Greedy(logits);
        }

        double uniform = CounterRandom.Uniform(row.Completion.RandomKey, position);
        if (!sampling.HasFilters)
        {
            return TokenPicker.Sample(logits, sampling.Temperature, uniform);
        }

        // A filter may change the logits of its own copy; the session's stay as they are.
        float[] filtered = logits.ToArray();
        bool greedy = sampling.Temperature == 0;
        SamplingFilters.Apply(filtered, row.Prompt.Concat(row.Completion.Ids), greedy ? sampling with { Temperature = 1 } : sampling);
        return greedy ? TokenPicker.Greedy(filtered) : TokenPicker.Sample(filtered, temperature: 1, uniform);
    }

    private readonly record struct CompletionRow(CompletionBuilder Completion, IReadOnlyList<int> Prompt);
}

using Grpo.Modeling;
using Grpo.Tensors;
using Grpo.Testing;
using static TorchSharp.torch;

namespace Grpo.Core.Tests.Optimization;

/// <summary>
/// A policy on a machine with little memory: a batch of too many tokens ends with libtorch's error, in the forward or the backward pass.
/// </summary>
internal sealed class TightPolicy(BigramPolicy inner) : IEntropyPolicy, ISharedPromptPolicy, IReferenceModel
{
    private bool _isReady = true;

    /// <summary>The most tokens, padding included, of a forward pass.</summary>
    public long ForwardRoom { get; set; } = long.MaxValue;

    /// <summary>The most tokens of a backward pass.</summary>
    public long BackwardRoom { get; set; } = long.MaxValue;

    /// <summary>The most tokens of <see cref="LogProbsAndEntropies"/>.</summary>
    public long EntropyRoom { get; set; } = long.MaxValue;

    /// <summary>Passes until the room is as small as it says.</summary>
    public int Grace { get; set; }

    /// <summary>Tokens of the passes that failed, in order.</summary>
    public List<long> Failures { get; } = [];

    public nn.Module Module => inner.Module;

    public bool SharesPrompts { get; init; }

    public Tensor LogProbs(TokenBatch batch, double temperature)
    {
        long tokens = Take(batch, ForwardRoom);
        using var scope = TensorScope.Begin();
        Tensor logProbs = inner.LogProbs(batch, temperature);
        return scope.Keep(_isReady && tokens > BackwardRoom && logProbs.requires_grad
            ? FailingBackward.apply(logProbs, (Action)(() => Fail(tokens)))
            : logProbs);
    }

    public TokenStatistics LogProbsAndEntropies(TokenBatch batch, double temperature)
    {
        Take(batch, Math.Min(ForwardRoom, EntropyRoom));
        return inner.LogProbsAndEntropies(batch, temperature);
    }

    public IDecodingSession StartDecoding(TokenBatch prompts, int groupSize, int maxNewTokens) =>
        inner.StartDecoding(prompts, groupSize, maxNewTokens);

    public void Save(string directory) => inner.Save(directory);

    public void Load(string directory) => inner.Load(directory);

    private long Take(TokenBatch batch, long room)
    {
        long prompts = SharesPrompts ? batch.SharedPrompts?.FirstRows.shape[0] ?? batch.Count : batch.Count;
        long tokens = (prompts * batch.PromptLength) + (batch.Count * batch.CompletionLength);
        _isReady = Grace-- <= 0;
        if (_isReady && tokens > room)
        {
            Fail(tokens);
        }

        return tokens;
    }

    private void Fail(long tokens)
    {
        Failures.Add(tokens);
        throw NativeFailure.OutOfMemory(4 * tokens);
    }

    /// <summary>The identity, whose backward pass fails.</summary>
    internal sealed class FailingBackward : SafeFunction<FailingBackward>
    {
        public override string Name => nameof(FailingBackward);

        protected override Tensor Compute(autograd.AutogradContext context, object[] inputs)
        {
            context.save_data("fail", inputs[1]);
            using var scope = TensorScope.Begin();
            return scope.Keep(((Tensor)inputs[0]).clone());
        }

        protected override List<Tensor> Differentiate(autograd.AutogradContext context, Tensor gradient)
        {
            using Tensor owned = gradient;
            ((Action)context.get_data("fail"))();
            throw new InvalidOperationException("The test's action must throw.");
        }
    }
}

using Grpo.Modeling;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

/// <summary>A policy that counts the forward passes of its decoding sessions, and may add a call to each.</summary>
/// <param name="inner">The policy that computes. Borrowed.</param>
/// <param name="extra">A function that every pass also applies to its logits; null for none.</param>
internal sealed class CountingPolicy(QwenPolicy inner, Action<Tensor>? extra = null) : IPolicy
{
    /// <summary>The number of forward passes, including those over prompts.</summary>
    public int Passes { get; private set; }

    public nn.Module Module => inner.Module;

    public Tensor LogProbs(TokenBatch batch, double temperature) => inner.LogProbs(batch, temperature);

    public IDecodingSession StartDecoding(TokenBatch prompts, int groupSize, int maxNewTokens) =>
        new Session(this, inner.StartDecoding(prompts, groupSize, maxNewTokens));

    public void Save(string directory) => inner.Save(directory);

    public void Load(string directory) => inner.Load(directory);

    private Tensor Pass(Tensor logits)
    {
        Passes++;
        extra?.Invoke(logits);
        return logits;
    }

    private sealed class Session(CountingPolicy policy, IDecodingSession inner) : IDecodingSession
    {
        public bool CanAddPrompts => inner.CanAddPrompts;

        public Tensor Prefill() => policy.Pass(inner.Prefill());

        public Tensor Advance(Tensor tokenIds) => policy.Pass(inner.Advance(tokenIds));

        public Tensor AddPrompts(TokenBatch prompts, int groupSize) => policy.Pass(inner.AddPrompts(prompts, groupSize));

        public void KeepRows(IReadOnlyList<int> rows) => inner.KeepRows(rows);

        public void Dispose() => inner.Dispose();
    }
}

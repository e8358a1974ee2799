using Grpo.Modeling;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

/// <summary>
/// The same policy without what its sessions offer beyond the minimum: prompts cannot join, so a sampler decodes in rounds.
/// </summary>
/// <param name="inner">Borrowed.</param>
internal sealed class WithoutJoining(QwenPolicy inner) : IPolicy
{
    public nn.Module Module => inner.Module;

    public Tensor LogProbs(TokenBatch batch, double temperature) => inner.LogProbs(batch, temperature);

    public IDecodingSession StartDecoding(TokenBatch prompts, int groupSize, int maxNewTokens) =>
        new Session(inner.StartDecoding(prompts, groupSize, maxNewTokens));

    public void Save(string directory) => inner.Save(directory);

    public void Load(string directory) => inner.Load(directory);

    private sealed class Session(IDecodingSession inner) : IDecodingSession
    {
        public Tensor Prefill() => inner.Prefill();

        public Tensor Advance(Tensor tokenIds) => inner.Advance(tokenIds);

        public void KeepRows(IReadOnlyList<int> rows) => inner.KeepRows(rows);

        public void Dispose() => inner.Dispose();
    }
}

using Grpo.Modeling;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Snippets;

/// <summary>memory.md: who owns which tensor.</summary>
public static class TensorOwnership
{
    /// <summary>Nothing survives: the result is a number.</summary>
    public static double MeanEntropy(Tensor logits)                              // [B, C, V], borrowed
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor logProbs = logits.log_softmax(-1);                                // [B, C, V]
        return -(logProbs.exp() * logProbs).sum(-1).mean().item<float>();
    }

    /// <summary>One tensor survives: it moves to the caller's scope.</summary>
    public static Tensor Centered(Tensor values)                                 // [B, C], borrowed
    {
        using var scope = TensorScope.Begin();
        Tensor mean = values.mean([1], keepdim: true);                           // [B, 1]
        return scope.Keep(values - mean);                                        // [B, C]
    }

    public static async Task AppendEntropyAsync(string path, IPolicy policy, TokenBatch batch, CancellationToken cancellationToken)
    {
        double entropy = MeasureEntropy(policy, batch);
        await File.AppendAllTextAsync(path, FormattableString.Invariant($"{entropy}\n"), cancellationToken);
    }

    public static double MeasureEntropy(IPolicy policy, TokenBatch batch)
    {
        using var scope = TensorScope.BeginNoGrad();
        using IDecodingSession session = policy.StartDecoding(batch, groupSize: 1, maxNewTokens: 1);
        return MeanEntropy(session.Prefill().unsqueeze(1));
    }

    public static long TensorsLeakedBy(Action work)
    {
        work();                                                                  // once to warm up: caches may keep a few
        long before = Tensor.TotalCount;
        work();
        return Tensor.TotalCount - before;
    }
}

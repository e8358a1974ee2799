using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Losses;

/// <summary>Counts the probability ratios that left their range on the side where the sign of the advantage makes it matter.</summary>
/// <remarks>The definitions are TRL's (clip_ratio/…): low is w &lt; lowest and A &lt; 0, high is w &gt; highest and A &gt; 0.</remarks>
public static class ClipCounts
{
    /// <summary>Counts the ratios below the range, above it, and in total, for each sequence.</summary>
    /// <param name="ratio">
    /// The ratio w of every token, [B, C], or s of every completion, [B, 1]. In the second case a completion counts once, regardless of its
    /// length.
    /// </param>
    /// <param name="advantages">The advantages A, [B] float32.</param>
    /// <param name="mask">The completion mask m, [B, C] float32.</param>
    /// <param name="lowest">The lower end of the range, such as 1 − ε_low.</param>
    /// <param name="highest">The upper end of the range, such as 1 + ε_high.</param>
    /// <returns>
    /// The counts low, high and total of each sequence, [B, 3] float32, without gradient, for <see cref="ClipMetrics.FromCounts"/>. Owned
    /// by the caller's scope.
    /// </returns>
    /// <exception cref="ArgumentException">A shape differs.</exception>
    public static Tensor PerSequence(Tensor ratio, Tensor advantages, Tensor mask, double lowest, double highest)
    {
        TensorGuard.Require(mask, nameof(mask), "[B, C]", -1, -1);
        long rows = mask.shape[0];
        bool bySequence = ratio.shape is [_, 1];
        TensorGuard.Require(ratio, nameof(ratio), "[B, C] or [B, 1]", rows, bySequence ? 1 : mask.shape[1]);
        TensorGuard.Require(advantages, nameof(advantages), "[B]", rows);
        using var scope = TensorScope.BeginNoGrad();
        Tensor counted = bySequence && mask.shape[1] != 1 ? mask.new_ones(rows, 1) : mask;
        Tensor sign = advantages.unsqueeze(1);                                                     // [B, 1]
        Tensor low = ratio.lt(lowest).bitwise_and(sign.lt(0)) * counted;
        Tensor high = ratio.gt(highest).bitwise_and(sign.gt(0)) * counted;
        return scope.Keep(torch.stack([low.sum(1L), high.sum(1L), counted.sum(1L)], 1));           // [B, 3]
    }
}

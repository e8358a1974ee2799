using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Losses;

/// <summary>
/// PPO's clipped surrogate loss per token, with separate lower and upper bounds (DAPO's clip-higher) and an optional cap on the ratio.
/// </summary>
/// <remarks>PPO, arXiv:1707.06347, eq. 7; DeepSeekMath, arXiv:2402.03300, eq. 3; DAPO, arXiv:2503.14476, section 3.1.</remarks>
public static class ClippedSurrogate
{
    /// <summary>Computes ℓ = −min(c1·A, c2·A) with w = π/π_old, c1 = min(w, cap) and c2 = clip(w, 1 − low, 1 + high).</summary>
    /// <param name="logProbs">The log-probs log π of the sampled tokens in nats, [B, C] float32.</param>
    /// <param name="oldLogProbs">The log-probs log π_old of these tokens in nats, [B, C] float32, no gradient.</param>
    /// <param name="advantages">The advantages A, [B] float32.</param>
    /// <param name="clipRange">The bounds on the ratio.</param>
    /// <returns>
    /// The loss of each token, [B, C] float32, differentiable with respect to <paramref name="logProbs"/>. Owned by the caller's scope.
    /// </returns>
    /// <exception cref="ArgumentException">A shape differs.</exception>
    public static Tensor PerToken(Tensor logProbs, Tensor oldLogProbs, Tensor advantages, ClipRange clipRange)
    {
        TensorGuard.Require(oldLogProbs, nameof(oldLogProbs), "[B, C]", logProbs.shape);
        TensorGuard.Require(advantages, nameof(advantages), "[B]", logProbs.shape[0]);
        using var scope = TensorScope.Begin();
        Tensor weights = advantages.unsqueeze(1);                              // [B, 1]  ([B] would broadcast along C)
        Tensor ratio = (logProbs - oldLogProbs).exp();                         // [B, C]
        Tensor capped = clipRange.Cap is { } cap ? ratio.clamp_max(cap) : ratio;
        Tensor clipped = ratio.clamp(1 - clipRange.Low, 1 + clipRange.High);
        return scope.Keep(-torch.minimum(capped * weights, clipped * weights));
    }
}

/// <summary>The bounds on the probability ratio w = π/π_old of a clipped surrogate.</summary>
/// <param name="Low">The lower bound ε_low: below 1 − ε_low a negative advantage has no gradient.</param>
/// <param name="High">The upper bound ε_high: above 1 + ε_high a positive advantage has no gradient.</param>
/// <param name="Cap">The cap δ, above which a negative advantage has no gradient. Null for none.</param>
public readonly record struct ClipRange(double Low, double High, double? Cap = null);

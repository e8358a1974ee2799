using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Losses;

/// <summary>Estimates of the divergence from the reference model, from the log-probs of the sampled tokens alone.</summary>
/// <remarks>
/// Schulman, "Approximating KL divergence", 2020. There is no k1 loss on purpose: see <see cref="KlEstimator"/>. Log-probs must be finite
/// where the mask is 0.
/// </remarks>
public static class KlPenalty
{
    /// <summary>The chosen estimate per token.</summary>
    /// <param name="estimator">Which one.</param>
    /// <param name="logProbs">log π of the sampled tokens, nats. [B, C] float32.</param>
    /// <param name="oldLogProbs">log π_old of the same tokens, nats. [B, C] float32; read by the importance-corrected estimate alone.</param>
    /// <param name="referenceLogProbs">log π_ref of the same tokens, nats. [B, C] float32, no gradient.</param>
    /// <returns>[B, C] float32, ≥ 0, differentiable in <paramref name="logProbs"/>. Owned by the caller's scope.</returns>
    /// <exception cref="ArgumentException">The shapes differ.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The estimator is unknown.</exception>
    public static Tensor PerToken(KlEstimator estimator, Tensor logProbs, Tensor oldLogProbs, Tensor referenceLogProbs) => estimator switch
    {
        KlEstimator.K3 => K3(logProbs, referenceLogProbs),
        KlEstimator.K2 => K2(logProbs, referenceLogProbs),
        KlEstimator.ImportanceCorrectedK3 => ImportanceCorrectedK3(logProbs, oldLogProbs, referenceLogProbs),
        KlEstimator.StraightThrough => StraightThrough(logProbs, referenceLogProbs),
        KlEstimator.K1InReward => throw new ArgumentOutOfRangeException(
            nameof(estimator), estimator, "k1 is no loss: its gradient would be noise without a pull. KlShapedReward takes it off the reward; the loss then has no KL term."),
        _ => throw new ArgumentOutOfRangeException(nameof(estimator), estimator, "Not a KL estimator."),
    };

    /// <summary>Schulman's k3 estimate of KL(π ‖ π_ref), per token: exp(d) − d − 1 with d = log π_ref − log π.</summary>
    /// <param name="logProbs">log π of the sampled tokens, nats. [B, C] float32.</param>
    /// <param name="referenceLogProbs">log π_ref of the same tokens, nats. [B, C] float32, no gradient.</param>
    /// <returns>[B, C] float32, ≥ 0, differentiable in <paramref name="logProbs"/>. Owned by the caller's scope.</returns>
    /// <exception cref="ArgumentException">The shapes differ.</exception>
    /// <remarks>DeepSeekMath, arXiv:2402.03300, eq. 4. Unlike verl, the result is not clamped.</remarks>
    public static Tensor K3(Tensor logProbs, Tensor referenceLogProbs)
    {
        TensorGuard.Require(referenceLogProbs, nameof(referenceLogProbs), "[B, C]", logProbs.shape);
        using var scope = TensorScope.Begin();
        Tensor difference = referenceLogProbs - logProbs; // [B, C]
        return scope.Keep(difference.expm1() - difference); // exp(d) − d − 1 would lose all digits, and its sign, near d = 0
    }

    /// <summary>Schulman's k2 estimate, per token: x²/2 with x = log π − log π_ref.</summary>
    /// <inheritdoc cref="K3"/>
    /// <remarks>Its gradient x·∇log π is, over the policy's own samples, that of the reverse divergence.</remarks>
    public static Tensor K2(Tensor logProbs, Tensor referenceLogProbs)
    {
        TensorGuard.Require(referenceLogProbs, nameof(referenceLogProbs), "[B, C]", logProbs.shape);
        using var scope = TensorScope.Begin();
        return scope.Keep((logProbs - referenceLogProbs).square() * 0.5);
    }

    /// <summary>w·k3 per token with w = π/π_old, gradient through both: ∇ = w·x·∇log π, the reverse divergence also off-policy.</summary>
    /// <param name="logProbs">log π of the sampled tokens, nats. [B, C] float32.</param>
    /// <param name="oldLogProbs">log π_old of the same tokens, nats. [B, C] float32, no gradient.</param>
    /// <param name="referenceLogProbs">log π_ref of the same tokens, nats. [B, C] float32, no gradient.</param>
    /// <returns>[B, C] float32, ≥ 0, differentiable in <paramref name="logProbs"/>. Owned by the caller's scope.</returns>
    /// <exception cref="ArgumentException">The shapes differ.</exception>
    /// <remarks>DeepSeek-V3.2, arXiv:2512.02556. w is neither clipped nor capped, unlike TRL's, which takes the ratio after the cap δ.</remarks>
    public static Tensor ImportanceCorrectedK3(Tensor logProbs, Tensor oldLogProbs, Tensor referenceLogProbs)
    {
        TensorGuard.Require(oldLogProbs, nameof(oldLogProbs), "[B, C]", logProbs.shape);
        using var scope = TensorScope.Begin();
        return scope.Keep((logProbs - oldLogProbs).exp() * K3(logProbs, referenceLogProbs));
    }

    /// <summary>The value of k3 with the gradient of k2, per token: sg(k3) + k2 − sg(k2).</summary>
    /// <inheritdoc cref="K3"/>
    /// <remarks>A value that is unbiased and never negative, and the reverse divergence's gradient on-policy.</remarks>
    public static Tensor StraightThrough(Tensor logProbs, Tensor referenceLogProbs)
    {
        using var scope = TensorScope.Begin();
        Tensor gradient = K2(logProbs, referenceLogProbs);                                         // [B, C]
        return scope.Keep(K3(logProbs, referenceLogProbs).detach() + (gradient - gradient.detach()));
    }
}

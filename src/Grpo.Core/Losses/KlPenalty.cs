using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Losses;

/// <summary>Computes estimates of the KL divergence from the reference model, using only the log-probs of the sampled tokens.</summary>
/// <remarks>
/// Schulman, "Approximating KL divergence", 2020. <see cref="KlEstimator"/> compares the estimates and tells why none is k1. Log-probs must
/// be finite also where the mask is 0.
/// </remarks>
public static class KlPenalty
{
    /// <summary>Computes the chosen estimate of the KL divergence for each token.</summary>
    /// <param name="estimator">The estimator.</param>
    /// <param name="logProbs">The log-probs log π of the sampled tokens in nats, [B, C] float32.</param>
    /// <param name="oldLogProbs">
    /// The log-probs log π_old of these tokens in nats, [B, C] float32. Only the importance-corrected estimate reads them.
    /// </param>
    /// <param name="referenceLogProbs">The log-probs log π_ref of these tokens in nats, [B, C] float32, no gradient.</param>
    /// <returns>
    /// The estimates, [B, C] float32, ≥ 0, differentiable with respect to <paramref name="logProbs"/>. Owned by the caller's scope.
    /// </returns>
    /// <exception cref="ArgumentException">The shapes differ.</exception>
    /// <exception cref="ArgumentOutOfRangeException">
    /// The estimator is unknown, or is <see cref="KlEstimator.K1InReward"/>, which is not for the loss.
    /// </exception>
    public static Tensor PerToken(KlEstimator estimator, Tensor logProbs, Tensor oldLogProbs, Tensor referenceLogProbs) => estimator switch
    {
        KlEstimator.K3 => K3(logProbs, referenceLogProbs),
        KlEstimator.K2 => K2(logProbs, referenceLogProbs),
        KlEstimator.ImportanceCorrectedK3 => ImportanceCorrectedK3(logProbs, oldLogProbs, referenceLogProbs),
        KlEstimator.StraightThrough => StraightThrough(logProbs, referenceLogProbs),
        KlEstimator.K1InReward => throw new ArgumentOutOfRangeException(
            nameof(estimator), estimator,
            "k1 is no loss: its gradient would be noise without a pull. GrpoOptimizer subtracts it from the reward; "
            + "the loss then has no KL term."),
        _ => throw new ArgumentOutOfRangeException(nameof(estimator), estimator, "Not a KL estimator."),
    };

    /// <summary>Computes Schulman's k3 estimate of KL(π ‖ π_ref) for each token: exp(d) − d − 1 with d = log π_ref − log π.</summary>
    /// <param name="logProbs">The log-probs log π of the sampled tokens in nats, [B, C] float32.</param>
    /// <param name="referenceLogProbs">The log-probs log π_ref of these tokens in nats, [B, C] float32, no gradient.</param>
    /// <returns>
    /// The estimates, [B, C] float32, ≥ 0, differentiable with respect to <paramref name="logProbs"/>. Owned by the caller's scope.
    /// </returns>
    /// <exception cref="ArgumentException">The shapes differ.</exception>
    /// <remarks>DeepSeekMath, arXiv:2402.03300, eq. 4. Unlike verl, the result is not clamped.</remarks>
    public static Tensor K3(Tensor logProbs, Tensor referenceLogProbs)
    {
        TensorGuard.Require(referenceLogProbs, nameof(referenceLogProbs), "[B, C]", logProbs.shape);
        using var scope = TensorScope.Begin();
        Tensor difference = referenceLogProbs - logProbs; // [B, C]
        return scope.Keep(difference.expm1() - difference); // near d = 0, exp(d) − d − 1 would lose all digits and its sign
    }

    /// <summary>Computes Schulman's k2 estimate for each token: x²/2 with x = log π − log π_ref.</summary>
    /// <inheritdoc cref="K3"/>
    /// <remarks>If the policy sampled the tokens, the gradient x·∇log π is that of the reverse divergence KL(π ‖ π_ref).</remarks>
    public static Tensor K2(Tensor logProbs, Tensor referenceLogProbs)
    {
        TensorGuard.Require(referenceLogProbs, nameof(referenceLogProbs), "[B, C]", logProbs.shape);
        using var scope = TensorScope.Begin();
        return scope.Keep((logProbs - referenceLogProbs).square() * 0.5);
    }

    /// <summary>Computes w·k3 for each token with w = π/π_old: an estimate of KL(π ‖ π_ref) even if π_old sampled the tokens.</summary>
    /// <param name="logProbs">The log-probs log π of the sampled tokens in nats, [B, C] float32.</param>
    /// <param name="oldLogProbs">The log-probs log π_old of these tokens in nats, [B, C] float32, no gradient.</param>
    /// <param name="referenceLogProbs">The log-probs log π_ref of these tokens in nats, [B, C] float32, no gradient.</param>
    /// <returns>
    /// The estimates, [B, C] float32, ≥ 0, differentiable with respect to <paramref name="logProbs"/>. Owned by the caller's scope.
    /// </returns>
    /// <exception cref="ArgumentException">The shapes differ.</exception>
    /// <remarks>
    /// DeepSeek-V3.2, arXiv:2512.02556. The gradient passes through both factors: ∇ = w·x·∇log π. w is neither clipped nor capped, while
    /// TRL uses the ratio after the cap δ.
    /// </remarks>
    public static Tensor ImportanceCorrectedK3(Tensor logProbs, Tensor oldLogProbs, Tensor referenceLogProbs)
    {
        TensorGuard.Require(oldLogProbs, nameof(oldLogProbs), "[B, C]", logProbs.shape);
        using var scope = TensorScope.Begin();
        return scope.Keep((logProbs - oldLogProbs).exp() * K3(logProbs, referenceLogProbs));
    }

    /// <summary>
    /// Computes the value of k3 with the gradient of k2 for each token: sg(k3) + k2 − sg(k2), where sg stops the gradient.
    /// </summary>
    /// <inheritdoc cref="K3"/>
    /// <remarks>
    /// The value is unbiased and never negative. If the policy sampled the tokens, the gradient is that of KL(π ‖ π_ref).
    /// </remarks>
    public static Tensor StraightThrough(Tensor logProbs, Tensor referenceLogProbs)
    {
        using var scope = TensorScope.Begin();
        Tensor gradient = K2(logProbs, referenceLogProbs);                                         // [B, C]
        return scope.Keep(K3(logProbs, referenceLogProbs).detach() + (gradient - gradient.detach()));
    }
}

/// <summary>
/// The estimate of the reverse KL divergence KL(π ‖ π_ref) from one sampled token. The KL penalty keeps the policy π close to the reference
/// model π_ref. In the formulas, x = log π − log π_ref.
/// </summary>
/// <remarks>
/// The estimates k1 = x, k2 = x²/2 and k3 = exp(−x) + x − 1 are Schulman's. They differ in bias and in their gradient. k1 is available only
/// in the reward (<see cref="K1InReward"/>). In the loss its gradient is ∇log π, whose expectation is 0. It would add noise without a pull
/// toward the reference.
/// </remarks>
public enum KlEstimator
{
    /// <summary>
    /// GRPO's estimate k3 = exp(−x) + x − 1, the default. Its value is unbiased. Its gradient is that of the forward divergence
    /// KL(π_ref ‖ π).
    /// </summary>
    K3,

    /// <summary>
    /// The estimate k2 = x²/2. Its value is biased. Its gradient x·∇log π is that of KL(π ‖ π_ref) if the policy itself sampled the tokens,
    /// as in the first update on a rollout.
    /// </summary>
    K2,

    /// <summary>
    /// The estimate w·k3 with w = π/π_old (DeepSeek-V3.2). π_old is the policy that sampled the tokens. Value and gradient are those of
    /// KL(π ‖ π_ref) in every update on a rollout. Use it if a rollout has several updates.
    /// </summary>
    ImportanceCorrectedK3,

    /// <summary>
    /// The value of k3, which is unbiased, with the gradient of k2, which is that of KL(π ‖ π_ref) if the policy itself sampled the tokens.
    /// </summary>
    StraightThrough,

    /// <summary>
    /// The sum of x over the tokens of a completion, times the KL coefficient β, subtracted from the completion's reward
    /// before the advantages are computed. Value and gradient are those of KL(π ‖ π_ref). The loss then has no KL term.
    /// </summary>
    K1InReward,
}

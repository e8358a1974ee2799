namespace Grpo.Losses;

/// <summary>Which estimate of KL(π ‖ π_ref) holds the policy close to the reference, where it acts, and with which gradient. x = log π − log π_ref.</summary>
/// <remarks>
/// k1 = x in the loss is not among them: its gradient there is ∇log π, whose expectation is 0, so it would add noise and no pull towards the
/// reference. Its place is the reward.
/// </remarks>
public enum KlEstimator
{
    /// <summary>exp(−x) + x − 1: GRPO's. Unbiased in value; its gradient is that of the forward divergence KL(π_ref ‖ π).</summary>
    K3,

    /// <summary>x²/2. Biased in value; its gradient x·∇log π is that of the reverse divergence when the samples are the policy's own.</summary>
    K2,

    /// <summary>w·k3 with w = π/π_old: the reverse divergence in value and gradient, on- and off-policy (DeepSeek-V3.2).</summary>
    ImportanceCorrectedK3,

    /// <summary>The value of k3 with the gradient of k2.</summary>
    StraightThrough,

    /// <summary>
    /// Σ x over the completion, taken off its reward before the advantages are computed: the reverse divergence in value and gradient
    /// (<see cref="KlShapedReward"/>). The loss has no KL term then.
    /// </summary>
    K1InReward,
}

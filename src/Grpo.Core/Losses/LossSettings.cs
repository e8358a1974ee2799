namespace Grpo.Losses;

/// <summary>
/// The settings of a loss: the objective per token, the reduction to a scalar, the KL term, the entropy bonus and the masks.
/// </summary>
public sealed record LossSettings
{
    /// <summary>The objective that gives the loss of each token.</summary>
    /// <value>Default: the clipped surrogate.</value>
    public PolicyObjective Objective { get; init; } = new ClippedObjective();

    /// <summary>The reduction of per-token losses to a scalar.</summary>
    /// <value>Default <see cref="LossReduction.TokenMean"/>.</value>
    public LossReduction Reduction { get; init; } = LossReduction.TokenMean;

    /// <summary>The weight β of the KL term. With 0 the KL is only measured.</summary>
    /// <value>Default 0.</value>
    public double KlCoefficient { get; init; }

    /// <summary>The estimate that is used as the KL term. The reported KL is always k3.</summary>
    /// <value>
    /// Default <see cref="KlEstimator.K3"/>. <see cref="KlEstimator.K1InReward"/> is refused, since it is no term of the loss.
    /// </value>
    public KlEstimator KlEstimator { get; init; } = KlEstimator.K3;

    /// <summary>The weight of the entropy bonus.</summary>
    /// <value>Default 0.</value>
    public double EntropyCoefficient { get; init; }

    /// <summary>
    /// The largest mean drift, log π_old − log π in nats per token, at which completions with negative advantage are still trained on. Null
    /// keeps every completion.
    /// </summary>
    /// <value>Default null.</value>
    public double? OffPolicyThreshold { get; init; }

    /// <summary>The entropy in nats below which tokens are left out of the policy loss. Null keeps every token.</summary>
    /// <value>Default null.</value>
    public double? EntropyThreshold { get; init; }

    /// <summary>The largest importance ratio between policy and sampler, 1 or more. Null makes no correction for the sampler.</summary>
    /// <value>Default null.</value>
    public double? SamplerCorrectionCap { get; init; }

    /// <summary>The treatment of sampler ratios above <see cref="SamplerCorrectionCap"/>.</summary>
    /// <value>Default <see cref="SamplerCorrectionMode.Truncate"/>.</value>
    public SamplerCorrectionMode SamplerCorrectionMode { get; init; } = SamplerCorrectionMode.Truncate;

    /// <summary>True if the gradient of a token's log-prob depends on no log-prob or entropy of other tokens.</summary>
    internal bool IsPerToken => Objective.IsPerToken && OffPolicyThreshold is null && EntropyCoefficient == 0 && EntropyThreshold is null;
}

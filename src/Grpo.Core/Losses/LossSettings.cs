using Grpo.Optimization;

namespace Grpo.Losses;

/// <summary>Which loss: the objective per token, how tokens become a scalar, and the KL term.</summary>
public sealed record LossSettings
{
    /// <summary>The loss per token.</summary>
    /// <value>Default: the clipped surrogate.</value>
    public PolicyObjective Objective { get; init; } = new ClippedObjective();

    /// <summary>How tokens become a scalar.</summary>
    /// <value>Default <see cref="LossReduction.TokenMean"/>.</value>
    public LossReduction Reduction { get; init; } = LossReduction.TokenMean;

    /// <summary>Weight β of the KL term; with 0 the reference log-probs are only measured.</summary>
    /// <value>Default 0.</value>
    public double KlCoefficient { get; init; }

    /// <summary>Which estimate the KL term is. The KL that is reported is always k3.</summary>
    /// <value>Default <see cref="KlEstimator.K3"/>; <see cref="KlEstimator.K1InReward"/> is none of the loss and is refused.</value>
    public KlEstimator KlEstimator { get; init; } = KlEstimator.K3;

    /// <summary>Weight of the entropy bonus.</summary>
    /// <value>Default 0.</value>
    public double EntropyCoefficient { get; init; }

    /// <summary>Threshold of <see cref="OffPolicySequenceMask"/>, nats per token; null: every completion is kept.</summary>
    /// <value>Default null.</value>
    public double? OffPolicyThreshold { get; init; }

    /// <summary>Tokens of a lower entropy are left out of the policy loss (<see cref="TopEntropyMask"/>), nats; null: all are trained on.</summary>
    /// <value>Default null.</value>
    public double? EntropyThreshold { get; init; }

    /// <summary>Cap of <see cref="SamplerCorrection"/>; null: the sampler is taken to be the policy.</summary>
    /// <value>Default null.</value>
    public double? SamplerCorrectionCap { get; init; }

    /// <summary>What happens above that cap.</summary>
    /// <value>Default <see cref="SamplerCorrectionMode.Truncate"/>.</value>
    public SamplerCorrectionMode SamplerCorrectionMode { get; init; } = SamplerCorrectionMode.Truncate;

    /// <summary>Whether the gradient of a token's log-prob depends on nothing that other tokens' log-probs or entropies decide.</summary>
    internal bool IsPerToken => Objective.IsPerToken && OffPolicyThreshold is null && EntropyCoefficient == 0 && EntropyThreshold is null;
}

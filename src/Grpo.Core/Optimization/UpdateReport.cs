using Grpo.Losses;
using Grpo.Optimization;

namespace Grpo;

/// <summary>What one optimizer step did. Means are over the completion tokens of the whole step.</summary>
public sealed record UpdateReport
{
    /// <summary>The loss of the step, summed over its micro-batches.</summary>
    public required double Loss { get; init; }

    /// <summary>
    /// Mean k3 estimate of KL(π ‖ π_ref), nats; with <see cref="KlEstimator.K1InReward"/> the mean k1 of the rollout; null
    /// without a KL term.
    /// </summary>
    public double? Kl { get; init; }

    /// <summary>β of the KL term in this update; null without one.</summary>
    public double? KlCoefficient { get; init; }

    /// <summary>
    /// How much left the trust region; null when the objective has none. Completions without advantage were not run and do not count.
    /// </summary>
    public ClipMetrics? Clip { get; init; }

    /// <summary>
    /// The sampler's log-probs against this update's on the same tokens; null when the sampler recorded none, and after the first
    /// update of a round, when the policy is no longer the one that sampled.
    /// </summary>
    public LogProbDifference? SamplerDifference { get; init; }

    /// <summary>Length of the gradient before clipping, L2 over all parameters.</summary>
    public required double GradientNorm { get; init; }

    /// <summary>The learning rate used.</summary>
    public required double LearningRate { get; init; }

    /// <summary>Why the update was not applied (<see cref="GrpoOptions.GradientSpikeFactor"/>); null when it was.</summary>
    public string? SkipReason { get; init; }
}

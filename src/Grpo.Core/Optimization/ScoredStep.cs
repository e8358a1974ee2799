using Grpo.Losses;

namespace Grpo;

/// <summary>The groups of a step with their rewards and advantages: the result of <see cref="GrpoOptimizer.ScoreAsync"/>.</summary>
/// <param name="Groups">The scored groups.</param>
public sealed record ScoredStep(IReadOnlyList<ScoredGroup> Groups)
{
    /// <summary>
    /// The mean divergence from the reference model over all completion tokens, nats, as it was measured for the penalty of
    /// <see cref="Losses.KlEstimator.K1InReward"/>. Null for every other estimator.
    /// </summary>
    public double? Kl { get; init; }
}

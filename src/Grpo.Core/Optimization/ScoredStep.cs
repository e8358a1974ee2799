using Grpo.Rollouts;

namespace Grpo;

/// <summary>The groups of a step with their rewards and advantages: the result of <see cref="GrpoOptimizer.ScoreAsync"/>.</summary>
/// <param name="Groups">The scored groups.</param>
public sealed record ScoredStep(IReadOnlyList<ScoredGroup> Groups)
{
    /// <summary>
    /// The mean KL divergence from the reference model over all completion tokens, in nats, as it was measured for the penalty of
    /// <see cref="Losses.KlEstimator.K1InReward"/>. Null for every other estimator.
    /// </summary>
    public double? Kl { get; init; }

    /// <summary>Checks groups that a caller made; the optimizer checks its own groups when they are sampled.</summary>
    /// <param name="createCheck">Creates the check of prompts and completions.</param>
    /// <param name="parameter">The name of the caller's parameter.</param>
    /// <exception cref="ArgumentException">A group is invalid or does not have one reward and one advantage per completion.</exception>
    internal void RequireValid(Func<RolloutCheck> createCheck, string parameter)
    {
        if (Groups.Any(scored => scored is null))
        {
            throw new ArgumentException("A scored group is null.", parameter);
        }

        createCheck().RequireGroups(Groups.Select(scored => scored.Group), parameter);
        foreach (ScoredGroup scored in Groups)
        {
            int count = scored.Group.Completions.Count;
            if (scored.Rewards?.Count != count || scored.Advantages?.Count != count)
            {
                throw new ArgumentException(FormattableString.Invariant(
                    $"A group of {count} completions has {scored.Rewards?.Count ?? 0} rewards and {scored.Advantages?.Count ?? 0} ")
                    + "advantages; there must be one each per completion.",
                    parameter);
            }
        }
    }
}

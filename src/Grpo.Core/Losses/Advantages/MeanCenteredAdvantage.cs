namespace Grpo.Losses;

/// <summary>Dr. GRPO's mean-centered advantage, A = r − mean: the reward of a completion minus the mean reward of its group.</summary>
/// <remarks>
/// Dr. GRPO, arXiv:2503.20783: a division by the standard deviation would give too much weight to prompts that are nearly always
/// or nearly never solved.
/// </remarks>
public sealed record MeanCenteredAdvantage : GroupAdvantageFunction
{
    /// <inheritdoc/>
    public override string Name => "mean-centered";

    /// <inheritdoc/>
    protected override IEnumerable<double> Estimate(GroupScores group) => group.Rewards.Select(reward => reward - group.Moments.Mean);
}

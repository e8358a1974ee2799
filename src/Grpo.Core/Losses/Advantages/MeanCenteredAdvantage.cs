namespace Grpo.Losses;

/// <summary>Dr. GRPO's mean-centered advantage, A = r − mean of the group.</summary>
/// <remarks>
/// Dr. GRPO, arXiv:2503.20783: dividing by std gives too much weight to questions that are nearly always or nearly never solved.
/// </remarks>
public sealed record MeanCenteredAdvantage : GroupAdvantageFunction
{
    /// <inheritdoc/>
    public override string Name => "mean-centered";

    /// <inheritdoc/>
    protected override IEnumerable<double> Estimate(GroupScores group) => group.Rewards.Select(reward => reward - group.Moments.Mean);
}

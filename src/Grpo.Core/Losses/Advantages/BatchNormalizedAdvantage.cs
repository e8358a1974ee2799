namespace Grpo.Losses;

/// <summary>A = (r − mean of the group) / (std of all rewards of the step + ε), std with N − 1.</summary>
/// <remarks>
/// The scale that public trainers call "batch"; REINFORCE++, arXiv:2501.03262, argues for a scale over the whole batch because that of a
/// group depends on the very rewards it divides. The std is that of the raw rewards, groups of equal rewards included, not that of the
/// centred ones.
/// </remarks>
public sealed record BatchNormalizedAdvantage : AdvantageFunction
{
    /// <inheritdoc/>
    public override string Name => "batch-normalised";

    /// <summary>Added to the standard deviation.</summary>
    /// <value>More than 0; default 1e-4.</value>
    public double Epsilon { get; init; } = 1e-4;

    /// <inheritdoc/>
    public override IEnumerable<string> Validate() => EpsilonRange.Check(Epsilon);

    /// <inheritdoc/>
    protected override IEnumerable<IEnumerable<double>> Estimate(IReadOnlyList<GroupScores> groups)
    {
        double deviation = RewardMoments.Of(groups.SelectMany(group => group.Rewards)).Deviation;
        return groups.Select(group => group.Rewards.Select(reward => (reward - group.Moments.Mean) / (deviation + Epsilon)));
    }
}

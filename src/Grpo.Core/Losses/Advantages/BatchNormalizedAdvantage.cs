namespace Grpo.Losses;

/// <summary>
/// The batch-normalized advantage, A = (r − mean) / (std + ε). r is the reward of a completion and mean that of its group. std (divisor
/// N − 1) is that of all N rewards of the step.
/// </summary>
/// <remarks>
/// Public trainers call this scale "batch". REINFORCE++, arXiv:2501.03262, argues for it because the scale of a group depends on the
/// rewards that it divides. The std is that of the raw rewards, not of the centered ones, and includes groups of equal rewards.
/// </remarks>
public sealed record BatchNormalizedAdvantage : AdvantageFunction
{
    /// <inheritdoc/>
    public override string Name => "batch-normalized";

    /// <summary>The number ε, which is added to the standard deviation.</summary>
    /// <value>Greater than 0; default 1e-4.</value>
    public double Epsilon { get; init; } = 1e-4;

    /// <inheritdoc/>
    public override IEnumerable<string> Validate() => ParameterProblems.FindInEpsilon(Epsilon);

    /// <inheritdoc/>
    protected override IEnumerable<IEnumerable<double>> Estimate(IReadOnlyList<GroupScores> groups)
    {
        double stdDev = RewardMoments.Compute(groups.SelectMany(group => group.Rewards)).StdDev;
        return groups.Select(group => group.Rewards.Select(reward => (reward - group.Moments.Mean) / (stdDev + Epsilon)));
    }
}

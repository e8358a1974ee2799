namespace Grpo.Losses;

/// <summary>
/// GRPO's group-normalized advantage, A = (r − mean) / (std + ε). r is the reward of a completion. mean and std (divisor G − 1) are those
/// of the G rewards of its group.
/// </summary>
/// <remarks>
/// <para>
/// DeepSeekMath, arXiv:2402.03300, section 4.1.2. The paper has no ε. ε and the divisor G − 1 follow common practice.</para>
/// <para>
/// The division gives every group the same spread, up to ε. Small differences in a nearly uniform group count as much as large ones in
/// another. With rewards of 0 and 1, such groups come from prompts that are nearly always or nearly never solved.</para>
/// <para>
/// If all rewards of a group are equal, its advantages are exactly 0. An abstention gets 0 and is not counted in mean, std and G.</para>
/// </remarks>
public sealed record GroupNormalizedAdvantage : GroupAdvantageFunction
{
    /// <inheritdoc/>
    public override string Name => "group-normalized";

    /// <summary>The number ε, which is added to the standard deviation.</summary>
    /// <value>Greater than 0; default 1e-4.</value>
    public double Epsilon { get; init; } = 1e-4;

    /// <inheritdoc/>
    public override IEnumerable<string> Validate() => ParameterProblems.FindInEpsilon(Epsilon);

    /// <inheritdoc/>
    protected override IEnumerable<double> Estimate(GroupScores group) =>
        group.Rewards.Select(reward => (reward - group.Moments.Mean) / (group.Moments.StdDev + Epsilon));
}

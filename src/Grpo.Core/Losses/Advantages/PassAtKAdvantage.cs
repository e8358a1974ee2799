namespace Grpo.Losses;

/// <summary>
/// The pass@k advantage. The completion with the highest reward of its group gets A = (highest − second highest reward) / (std + ε), and
/// the others get 0. std (divisor G − 1) is that of the G rewards of the group.
/// </summary>
/// <remarks>
/// arXiv:2503.19595: the objective is the highest reward of the group, k = G, and its leave-one-out advantage is the margin of the best
/// over the second. The division by std follows public implementations. The advantages do not sum to 0. If two completions share the
/// highest reward, all advantages of the group are 0, since either alone would have been enough.
/// </remarks>
public sealed record PassAtKAdvantage : GroupAdvantageFunction
{
    /// <inheritdoc/>
    public override string Name => "pass@k";

    /// <summary>The number ε, which is added to the standard deviation.</summary>
    /// <value>Greater than 0; default 1e-6.</value>
    public double Epsilon { get; init; } = 1e-6;

    /// <inheritdoc/>
    public override IEnumerable<string> Validate() => ParameterProblems.FindInEpsilon(Epsilon);

    /// <inheritdoc/>
    public override bool CanLearnFrom(GroupScores group) =>
        base.CanLearnFrom(group) && group.Rewards.Count(reward => reward == group.Moments.Maximum) == 1;

    /// <inheritdoc/>
    protected override IEnumerable<double> Estimate(GroupScores group)
    {
        double best = group.Moments.Maximum;
        double second = group.Rewards.Where(reward => reward != best).Max();
        return group.Rewards.Select(reward => reward == best ? (best - second) / (group.Moments.StdDev + Epsilon) : 0);
    }
}

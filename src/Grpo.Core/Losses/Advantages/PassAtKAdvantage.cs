namespace Grpo.Losses;

/// <summary>pass@k: only the best completion of the group learns, A = (best − second best) / (std + ε), std with G − 1; the others get 0.</summary>
/// <remarks>
/// arXiv:2503.19595: the objective is the best of the group, k = G, and its leave-one-out advantage is the margin of the best over the
/// second; the division by std follows the public implementations. The advantages do not sum to 0. Two best completions share no credit:
/// either alone would have done, so the group teaches nothing.
/// </remarks>
public sealed record PassAtKAdvantage : GroupAdvantageFunction
{
    /// <inheritdoc/>
    public override string Name => "pass@k";

    /// <summary>Added to the standard deviation.</summary>
    /// <value>More than 0; default 1e-6.</value>
    public double Epsilon { get; init; } = 1e-6;

    /// <inheritdoc/>
    public override IEnumerable<string> Validate() => EpsilonRange.Check(Epsilon);

    /// <inheritdoc/>
    public override bool CanLearnFrom(GroupScores group) =>
        base.CanLearnFrom(group) && group.Rewards.Count(reward => reward == group.Moments.Maximum) == 1;

    /// <inheritdoc/>
    protected override IEnumerable<double> Estimate(GroupScores group)
    {
        double best = group.Moments.Maximum;
        double second = group.Rewards.Where(reward => reward != best).Max();
        return group.Rewards.Select(reward => reward == best ? (best - second) / (group.Moments.Deviation + Epsilon) : 0);
    }
}

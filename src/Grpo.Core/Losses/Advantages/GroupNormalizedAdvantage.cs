namespace Grpo.Losses;

/// <summary>GRPO: A = (r − mean) / (std + ε), mean and std (with G − 1) of the group.</summary>
/// <remarks>
/// DeepSeekMath, arXiv:2402.03300, section 4.1.2. The paper has no ε; that and the G − 1 follow common practice. Multiplying the rewards
/// of a group by a positive number leaves A as it is (up to ε), so questions that are nearly always or never solved weigh more.
/// </remarks>
public sealed record GroupNormalizedAdvantage : GroupAdvantageFunction
{
    /// <inheritdoc/>
    public override string Name => "group-normalised";

    /// <summary>Added to the standard deviation.</summary>
    /// <value>More than 0; default 1e-4.</value>
    public double Epsilon { get; init; } = 1e-4;

    /// <inheritdoc/>
    public override IEnumerable<string> Validate() => EpsilonRange.Check(Epsilon);

    /// <inheritdoc/>
    protected override IEnumerable<double> Estimate(GroupScores group) =>
        group.Rewards.Select(reward => (reward - group.Moments.Mean) / (group.Moments.Deviation + Epsilon));
}

namespace Grpo.Losses;

/// <summary>GRPO's group-normalized advantage, A = (r − mean) / (std + ε), with mean and std (with G − 1) of the group.</summary>
/// <remarks>
/// DeepSeekMath, arXiv:2402.03300, section 4.1.2. The paper has no ε; ε and G − 1 follow common practice. Multiplying the rewards of a
/// group by a positive number does not change A (up to ε), so questions that are nearly always or never solved weigh more.
/// </remarks>
public sealed record GroupNormalizedAdvantage : GroupAdvantageFunction
{
    /// <inheritdoc/>
    public override string Name => "group-normalized";

    /// <summary>The number ε, which is added to the standard deviation.</summary>
    /// <value>More than 0; default 1e-4.</value>
    public double Epsilon { get; init; } = 1e-4;

    /// <inheritdoc/>
    public override IEnumerable<string> Validate() => ParameterProblems.FindInEpsilon(Epsilon);

    /// <inheritdoc/>
    protected override IEnumerable<double> Estimate(GroupScores group) =>
        group.Rewards.Select(reward => (reward - group.Moments.Mean) / (group.Moments.StdDev + Epsilon));
}

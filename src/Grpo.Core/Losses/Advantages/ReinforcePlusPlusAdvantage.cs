namespace Grpo.Losses;

/// <summary>
/// The advantage of REINFORCE++ with a group baseline: a = r − mean reward of the group, then A = (a − mean) / √(var + ε). Here mean and
/// var (divisor N − 1) are over all N tokens of the step, so that a completion counts once per token.
/// </summary>
/// <remarks>
/// REINFORCE++, arXiv:2501.03262, the variant with a group baseline. ε is under the root as in public implementations. One difference:
/// there, a group of equal rewards gets −mean / √(var + ε) ≠ 0 if completions differ in length. Here it counts in mean and var but gets 0.
/// Σ len·A is 0 over the step if there is no such group. With fewer than two tokens in the step, all advantages are 0.
/// </remarks>
public sealed record ReinforcePlusPlusAdvantage : AdvantageFunction
{
    /// <inheritdoc/>
    public override string Name => "REINFORCE++ baseline";

    /// <summary>The number ε, which is added to the variance.</summary>
    /// <value>Greater than 0; default 1e-8.</value>
    public double Epsilon { get; init; } = 1e-8;

    /// <inheritdoc/>
    public override IEnumerable<string> Validate() => ParameterProblems.FindInEpsilon(Epsilon);

    /// <inheritdoc/>
    protected override IEnumerable<IEnumerable<double>> Estimate(IReadOnlyList<GroupScores> groups)
    {
        double[][] centered = [.. groups.Select(group => group.Rewards.Select(reward => reward - group.Moments.Mean).ToArray())];
        double[] values = [.. centered.SelectMany(group => group)];
        int[] lengths = [.. groups.SelectMany(group => group.Lengths)];
        double tokens = lengths.Sum(length => (double)length);
        if (tokens < 2)
        {
            return centered.Select(group => new double[group.Length]);
        }

        double mean = values.Zip(lengths, (value, length) => length / tokens * value).Sum();
        double variance = values.Zip(lengths, (value, length) => length / (tokens - 1) * ((value - mean) * (value - mean))).Sum();
        double scale = 1 / Math.Sqrt(variance + Epsilon);
        return centered.Select(group => group.Select(value => (value - mean) * scale));
    }
}

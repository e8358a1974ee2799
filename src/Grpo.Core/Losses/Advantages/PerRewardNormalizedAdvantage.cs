namespace Grpo.Losses;

/// <summary>
/// GDPO's advantage for a weighted sum of rewards. It normalizes each part k within the group, z_k = (r_k − mean_k) / (std_k + ε). Then it
/// adds the parts with their weights, S = Σ_k w_k·z_k, and normalizes S over the step, A = (S − mean S) / (std S + ε).
/// </summary>
/// <remarks>
/// <para>GDPO, arXiv:2601.05242: if rewards are summed first, (1, 0) and (0, 1) are equal and the rarer one is lost. The divisor of each
/// std is N − 1 for N numbers.</para>
/// <para>A part that abstains adds nothing to S. All advantages of a group are 0 only if every part with a weight other than 0 is equal in
/// the group. So something can be learned from a group with equal totals. The total only decides which completions abstain. What is
/// subtracted from the total alone, such as a KL penalty, has no effect.</para>
/// <para>
/// The code does not subtract the mean of S. Every z_k sums to 0 over its group, so that mean is 0 except for rounding, which would give a
/// group of equal rewards advantages of about 1e-8 instead of 0.</para>
/// </remarks>
public sealed record PerRewardNormalizedAdvantage : AdvantageFunction
{
    /// <inheritdoc/>
    public override string Name => "per-reward-normalized";

    /// <inheritdoc/>
    public override bool ReadsParts => true;

    /// <summary>The number ε, which is added to both standard deviations.</summary>
    /// <value>Greater than 0; default 1e-4.</value>
    public double Epsilon { get; init; } = 1e-4;

    /// <inheritdoc/>
    public override IEnumerable<string> Validate() => ParameterProblems.FindInEpsilon(Epsilon);

    /// <inheritdoc/>
    /// <exception cref="InvalidOperationException">The parts of the rewards are not known.</exception>
    public override bool CanLearnFrom(GroupScores group)
    {
        ArgumentNullException.ThrowIfNull(group);
        return Parts(group).Any(part => part.Weight != 0 && Moments(part).HasSpread);
    }

    /// <inheritdoc/>
    protected override IEnumerable<IEnumerable<double>> Estimate(IReadOnlyList<GroupScores> groups)
    {
        double[][] sums = [.. groups.Select(WeightedSums)];
        double stdDev = RewardMoments.Compute(sums.SelectMany(group => group)).StdDev;
        return sums.Select(group => group.Select(sum => sum / (stdDev + Epsilon)));
    }

    private double[] WeightedSums(GroupScores group)
    {
        var sums = new double[group.Rewards.Count];
        foreach (RewardPart part in Parts(group))
        {
            RewardMoments moments = Moments(part);
            for (int i = 0; i < sums.Length; i++)
            {
                sums[i] += part.Values[i] is { } value ? part.Weight * ((value - moments.Mean) / (moments.StdDev + Epsilon)) : 0;
            }
        }

        return sums;
    }

    private static RewardMoments Moments(RewardPart part) => RewardMoments.Compute(part.Values.OfType<double>());

    private static IReadOnlyList<RewardPart> Parts(GroupScores group) => group.Parts.Count > 0 || group.Rewards.Count == 0
        ? group.Parts
        : throw new InvalidOperationException(
            "The per-reward-normalized advantage (GDPO) normalizes every reward by itself, but the parts of these rewards and their "
            + "weights are not known. Combine the rewards with RewardFunction.WeightedSum, or use GroupNormalizedAdvantage.");
}

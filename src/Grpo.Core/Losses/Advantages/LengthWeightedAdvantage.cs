namespace Grpo.Losses;

/// <summary>
/// OPO's advantage with a length-weighted baseline, A_i = r_i − Σ_j len_j·r_j / Σ_j len_j. The sums are over the completions of the group,
/// with reward r and length len in tokens.
/// </summary>
/// <remarks>
/// OPO, arXiv:2505.23585: this baseline gives the lowest variance if the squared gradient of a completion is proportional to its length.
/// Σ len·A is 0, but Σ A is not. If every scored completion is empty, there is no baseline and no token to train, and the advantages are 0.
/// </remarks>
public sealed record LengthWeightedAdvantage : GroupAdvantageFunction
{
    /// <inheritdoc/>
    public override string Name => "length-weighted baseline";

    /// <inheritdoc/>
    public override bool CanLearnFrom(GroupScores group) => base.CanLearnFrom(group) && group.Lengths.Any(length => length > 0);

    /// <inheritdoc/>
    protected override IEnumerable<double> Estimate(GroupScores group)
    {
        double tokens = group.Lengths.Sum(length => (double)length);
        double baseline = group.Rewards.Zip(group.Lengths, (reward, length) => length / tokens * reward).Sum();
        return group.Rewards.Select(reward => reward - baseline);
    }
}

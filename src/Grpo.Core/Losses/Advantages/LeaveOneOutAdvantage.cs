namespace Grpo.Losses;

/// <summary>
/// RLOO's leave-one-out advantage, A_i = r_i − mean of the other rewards of the group. It equals G/(G−1)·(r_i − mean), where mean is over
/// all G scored completions.
/// </summary>
/// <remarks>RLOO, arXiv:2402.14740: a baseline without the completion's own reward leaves the policy gradient unbiased.</remarks>
public sealed record LeaveOneOutAdvantage : GroupAdvantageFunction
{
    /// <inheritdoc/>
    public override string Name => "leave-one-out";

    /// <inheritdoc/>
    protected override IEnumerable<double> Estimate(GroupScores group)
    {
        double scale = group.Rewards.Count / (group.Rewards.Count - 1.0);
        return group.Rewards.Select(reward => scale * (reward - group.Moments.Mean));
    }
}

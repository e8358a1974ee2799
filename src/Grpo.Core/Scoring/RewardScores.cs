namespace Grpo.Scoring;

/// <summary>The rewards of a step.</summary>
/// <param name="Rewards">One list per group with one reward per completion, in the order of the groups.</param>
/// <param name="Errors">The number of completions that abstain because their reward failed. 0 unless errors count as abstentions.</param>
internal sealed record RewardScores(IReadOnlyList<IReadOnlyList<Reward>> Rewards, int Errors)
{
    /// <summary>The first failure in the order of the groups; null if there was none.</summary>
    public RewardException? FirstError { get; init; }
}

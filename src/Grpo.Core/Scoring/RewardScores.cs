namespace Grpo.Scoring;

/// <summary>The rewards of a step.</summary>
/// <param name="Rewards">One list per group, one reward per completion, both in the order of the groups given.</param>
/// <param name="Errors">Completions that abstain because their reward failed. 0 unless errors are counted as abstentions.</param>
public sealed record RewardScores(IReadOnlyList<IReadOnlyList<Reward>> Rewards, int Errors)
{
    /// <summary>The first of these failures, in the order of the groups; null when there was none.</summary>
    public RewardException? FirstError { get; init; }
}

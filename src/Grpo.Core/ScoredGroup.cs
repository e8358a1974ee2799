namespace Grpo;

/// <summary>A group with its rewards and advantages: what an update learns from.</summary>
/// <param name="Group">The rollouts.</param>
/// <param name="Rewards">One reward per completion, same order.</param>
/// <param name="Advantages">One advantage per completion, same order; finite; 0 for a completion without a score.</param>
public sealed record ScoredGroup(RolloutGroup Group, IReadOnlyList<Reward> Rewards, IReadOnlyList<double> Advantages);

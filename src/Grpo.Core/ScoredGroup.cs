namespace Grpo;

/// <summary>A group of completions with its rewards and advantages. An update learns from it.</summary>
/// <param name="Group">The prompt and its completions.</param>
/// <param name="Rewards">One reward per completion, in the order of the completions.</param>
/// <param name="Advantages">
/// One finite advantage per completion, in the order of the completions. 0 for a completion without a reward.
/// </param>
public sealed record ScoredGroup(RolloutGroup Group, IReadOnlyList<Reward> Rewards, IReadOnlyList<double> Advantages);

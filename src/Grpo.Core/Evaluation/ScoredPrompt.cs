namespace Grpo.Evaluation;

/// <summary>The completions of a prompt and their rewards, in the same order.</summary>
internal sealed record ScoredPrompt(RolloutGroup Group, IReadOnlyList<Reward> Rewards);

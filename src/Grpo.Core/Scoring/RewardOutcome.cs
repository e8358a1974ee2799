namespace Grpo.Scoring;

/// <summary>A reward, or why there is none.</summary>
internal readonly record struct RewardOutcome(Reward Reward, RewardException? Error);

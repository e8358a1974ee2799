namespace Grpo.Scoring;

/// <summary>The outcome of scoring one completion: a reward, or the error that prevented it.</summary>
internal readonly record struct RewardOutcome(Reward Reward, RewardException? Error);

namespace Grpo.DependencyInjection;

/// <summary>A registered reward and its weight in the sum.</summary>
internal sealed record WeightedReward(IRewardFunction Reward, double Weight);

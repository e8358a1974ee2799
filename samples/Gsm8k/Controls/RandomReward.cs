namespace Grpo.Samples.Gsm8k;

/// <summary>A reward that flips a coin for every completion, whatever its text. Nothing can be learned from it.</summary>
/// <param name="seed">The seed of the coins.</param>
internal sealed class RandomReward(ulong seed) : IRewardFunction
{
    public string Name => "Random";

    public ValueTask<IReadOnlyList<Reward>> ScoreAsync(RolloutGroup group, CancellationToken cancellationToken = default) =>
        ValueTask.FromResult<IReadOnlyList<Reward>>(
            [.. GroupRandom.Of(seed, group).Select(number => Reward.ToReward(number < 0.5 ? 0 : 1))]);
}

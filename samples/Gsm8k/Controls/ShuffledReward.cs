namespace Grpo.Samples.Gsm8k;

/// <summary>
/// A reward that shuffles the real rewards within each group. Their mean and spread are right, but they no longer depend on the completion.
/// </summary>
/// <param name="inner">The real reward.</param>
/// <param name="seed">The seed of the shuffling.</param>
internal sealed class ShuffledReward(IRewardFunction inner, ulong seed) : IRewardFunction
{
    public string Name => $"Shuffled{inner.Name}";

    public async ValueTask<IReadOnlyList<Reward>> ScoreAsync(RolloutGroup group, CancellationToken cancellationToken = default)
    {
        IReadOnlyList<Reward> rewards = await inner.ScoreAsync(group, cancellationToken).ConfigureAwait(false);
        return [.. rewards.Zip(GroupRandom.Of(seed, group)).OrderBy(pair => pair.Second).Select(pair => pair.First)];
    }
}

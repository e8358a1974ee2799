namespace Grpo.Samples.Gsm8k;

/// <summary>The real rewards of each group, dealt to its completions at random: their mean and spread are right, and nothing else.</summary>
/// <param name="inner">The real reward.</param>
/// <param name="seed">Seed of the dealing.</param>
internal sealed class ShuffledReward(IRewardFunction inner, ulong seed) : IRewardFunction
{
    public string Name => $"Shuffled{inner.Name}";

    public async ValueTask<IReadOnlyList<Reward>> ScoreAsync(RolloutGroup group, CancellationToken cancellationToken = default)
    {
        IReadOnlyList<Reward> rewards = await inner.ScoreAsync(group, cancellationToken).ConfigureAwait(false);
        return [.. rewards.Zip(GroupRandom.Of(seed, group)).OrderBy(pair => pair.Second).Select(pair => pair.First)];
    }
}

using System.Globalization;
using Grpo.Scoring;

namespace Grpo;

/// <summary>Creates reward functions from delegates and from other reward functions.</summary>
public static class RewardFunction
{
    /// <summary>Creates a reward that scores one completion at a time.</summary>
    /// <param name="name">The name of the reward in metrics and errors.</param>
    /// <param name="score">The function that scores one completion. It may return a plain number.</param>
    /// <param name="identity">
    /// A text that distinguishes this reward from others of its name, such as "v2, threshold 0.5". A resumed run cannot compare code, but
    /// it compares this text. Null compares the name only.
    /// </param>
    public static IRewardFunction Create(string name, Func<Prompt, Completion, Reward> score, string? identity = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        ArgumentNullException.ThrowIfNull(score);
        return new PerCompletion(name, score, identity);
    }

    /// <summary>Creates a reward that scores a whole group at once and may wait for a judge or a service.</summary>
    /// <param name="name">The name of the reward in metrics and errors.</param>
    /// <param name="score">The function that returns one reward per completion, in the order of the completions.</param>
    /// <param name="identity">
    /// A text that distinguishes this reward from others of its name, such as the name of the judge's model. A resumed run cannot compare
    /// code, but it compares this text. Null compares the name only.
    /// </param>
    public static IRewardFunction Create(
        string name, Func<RolloutGroup, CancellationToken, ValueTask<IReadOnlyList<Reward>>> score, string? identity = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        ArgumentNullException.ThrowIfNull(score);
        return new PerGroup(name, score, identity);
    }

    /// <summary>
    /// Creates the weighted sum of several rewards. Parts that abstain are left out, and the sum abstains if all parts do.
    /// </summary>
    /// <param name="parts">The rewards with their weights. Parts that wait do so at the same time.</param>
    /// <returns>
    /// A reward that reports the value of each part as a component under the part's name, and the part's components as "name/component".
    /// Its verdict and correctness come from the first part that has one.
    /// </returns>
    /// <exception cref="ArgumentException">There is no part, two parts have the same name, or a weight is not a finite number.</exception>
    public static IRewardFunction WeightedSum(params (IRewardFunction Reward, double Weight)[] parts)
    {
        ArgumentNullException.ThrowIfNull(parts);
        if (parts.Length == 0)
        {
            throw new ArgumentException("A weighted sum needs at least one reward.", nameof(parts));
        }

        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (var (reward, weight) in parts)
        {
            ArgumentNullException.ThrowIfNull(reward, nameof(parts));
            if (!double.IsFinite(weight))
            {
                string shown = weight.ToString(CultureInfo.InvariantCulture);
                throw new ArgumentException($"The weight of reward '{reward.Name}' is {shown} but must be a finite number.", nameof(parts));
            }

            if (!names.Add(reward.Name))
            {
                throw new ArgumentException(
                    $"Two rewards of the sum are named '{reward.Name}', but their values are reported by name. "
                    + "Override Name in one of them.",
                    nameof(parts));
            }
        }

        return new WeightedSumReward([.. parts]);
    }

    /// <summary>
    /// Creates a cache around a slow reward, by prompt id and completion token ids. The reward must always give a completion the same
    /// value, independent of its group, such as a judge at temperature 0 or a sandbox that runs tests.
    /// </summary>
    /// <param name="inner">The reward to cache. It scores each missing completion once, in a group of the missing ones only.</param>
    /// <param name="capacity">
    /// The number of rewards to store, 1 or more. The least recently used one is dropped first. Each takes about 200 bytes, independent of
    /// the length of the completion.
    /// </param>
    /// <returns>A reward of the same name. It does not store failures and abstentions, and it is thread-safe.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="capacity"/> is less than 1.</exception>
    /// <remarks>Prompt ids must be unique, also across data sets.</remarks>
    public static IRewardFunction Cached(IRewardFunction inner, int capacity)
    {
        ArgumentNullException.ThrowIfNull(inner);
        ArgumentOutOfRangeException.ThrowIfLessThan(capacity, 1);
        return new CachedReward(inner, capacity);
    }

    private static PlugInIdentity OfDelegate(string? identity) => new PlugInIdentity("delegate").With("identity", identity);

    private sealed class PerCompletion(string name, Func<Prompt, Completion, Reward> score, string? identity)
        : CompletionReward, IHasIdentity
    {
        public override string Name => name;

        public PlugInIdentity Identity => OfDelegate(identity);

        public override Reward Score(Prompt prompt, Completion completion) => score(prompt, completion);
    }

    private sealed class PerGroup(
        string name, Func<RolloutGroup, CancellationToken, ValueTask<IReadOnlyList<Reward>>> score, string? identity)
        : IRewardFunction, IHasIdentity
    {
        public string Name => name;

        public PlugInIdentity Identity => OfDelegate(identity);

        public ValueTask<IReadOnlyList<Reward>> ScoreAsync(RolloutGroup group, CancellationToken cancellationToken = default) =>
            score(group, cancellationToken);
    }
}

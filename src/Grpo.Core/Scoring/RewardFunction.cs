using System.Globalization;
using Grpo.Scoring;

namespace Grpo;

/// <summary>Creates reward functions from delegates and from other reward functions.</summary>
public static class RewardFunction
{
    /// <summary>Creates a reward function that scores one completion at a time.</summary>
    /// <param name="name">The name of the reward function in metrics and errors.</param>
    /// <param name="score">The function that scores one completion. A number converts to a <see cref="Reward"/>.</param>
    /// <param name="identity">
    /// A text with the version and the settings of the function, such as "v2, threshold 0.5". Change it whenever the function changes: a
    /// run resumes only if the text is equal, since code cannot be compared. With null, only the name is compared.
    /// </param>
    /// <returns>The reward function.</returns>
    public static IRewardFunction Create(string name, Func<Prompt, Completion, Reward> score, string? identity = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        ArgumentNullException.ThrowIfNull(score);
        return new PerCompletion(name, score, identity);
    }

    /// <summary>
    /// Creates a reward function that scores a whole group at once. It may await a service, such as a model that grades text.
    /// </summary>
    /// <param name="name">The name of the reward function in metrics and errors.</param>
    /// <param name="score">The function that returns one reward per completion, in the order of the completions.</param>
    /// <param name="identity">
    /// A text with the version and the settings of the function, such as the name of the model that grades. Change it whenever the function
    /// changes: a run resumes only if the text is equal, since code cannot be compared. With null, only the name is compared.
    /// </param>
    /// <returns>The reward function.</returns>
    public static IRewardFunction Create(
        string name, Func<RolloutGroup, CancellationToken, ValueTask<IReadOnlyList<Reward>>> score, string? identity = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        ArgumentNullException.ThrowIfNull(score);
        return new PerGroup(name, score, identity);
    }

    /// <summary>
    /// Creates the weighted sum of several reward functions. A part that returns <see cref="Reward.Abstain"/> adds nothing, and the other
    /// weights are not rescaled. If all parts abstain, the sum abstains.
    /// </summary>
    /// <param name="parts">The reward functions with their weights. Parts that await something run concurrently.</param>
    /// <returns>
    /// A reward function that reports the value of each part as a component under the part's name, and the part's components as
    /// "name/component". Its verdict is that of the first part with a verdict, and its correctness that of the first part that judges it.
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
    /// Creates a cache around a slow reward function, keyed by prompt id and completion token ids. Use it only if a completion gets the
    /// same value every time and in any group.
    /// </summary>
    /// <param name="inner">
    /// The reward function to cache. It is called with a group that contains only the completions that are not cached, each once.
    /// </param>
    /// <param name="capacity">
    /// The number of rewards to store, 1 or more. The least recently used one is dropped first. Each takes about 200 bytes, independent of
    /// the length of the completion.
    /// </param>
    /// <returns>A reward function of the same name. It does not store failures and abstentions, and it is thread-safe.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="capacity"/> is less than 1.</exception>
    /// <remarks>
    /// Examples are a judge model at temperature 0 and a sandbox that runs tests. Prompt ids must be unique, also across data sets.
    /// </remarks>
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

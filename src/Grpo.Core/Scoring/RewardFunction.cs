using System.Globalization;
using Grpo.Scoring;

namespace Grpo;

/// <summary>Makes reward functions from delegates and from other reward functions.</summary>
public static class RewardFunction
{
    /// <summary>A reward that looks at one completion at a time.</summary>
    /// <param name="name">Names the reward in metrics and errors.</param>
    /// <param name="score">Scores one completion; a plain number will do.</param>
    /// <param name="identity">
    /// What tells this reward from others of the same name, such as "v2, threshold 0.5": a resumed run cannot compare code, but it
    /// compares this text. Null: the name alone.
    /// </param>
    public static IRewardFunction Create(string name, Func<Prompt, Completion, Reward> score, string? identity = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        ArgumentNullException.ThrowIfNull(score);
        return new PerCompletion(name, score, identity);
    }

    /// <summary>A reward that sees the whole group and may wait, for a judge or a service.</summary>
    /// <param name="name">Names the reward in metrics and errors.</param>
    /// <param name="score">Returns one reward per completion, in their order.</param>
    /// <param name="identity">
    /// What tells this reward from others of the same name, such as the name of the judge's model: a resumed run cannot compare code, but
    /// it compares this text. Null: the name alone.
    /// </param>
    public static IRewardFunction Create(
        string name, Func<RolloutGroup, CancellationToken, ValueTask<IReadOnlyList<Reward>>> score, string? identity = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        ArgumentNullException.ThrowIfNull(score);
        return new PerGroup(name, score, identity);
    }

    /// <summary>
    /// Σ weight · value over the parts that do not abstain; an abstention when all do. Each part's own value is a component under
    /// its name, its components under "name/component"; label and correctness come from the first part that has one.
    /// </summary>
    /// <param name="parts">The rewards with their weights; waiting parts wait together.</param>
    /// <exception cref="ArgumentException">There is no part, two parts have one name, or a weight is not a finite number.</exception>
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
                    $"Two rewards of the sum are named '{reward.Name}', but their values are reported by name. Override Name in one of them.",
                    nameof(parts));
            }
        }

        return new WeightedSumReward([.. parts]);
    }

    /// <summary>
    /// Remembers the rewards of a slow reward by prompt id and completion token ids. For a reward that gives a completion the same value every
    /// time, whatever else is in its group: a judge at temperature 0, a sandbox that runs tests.
    /// </summary>
    /// <param name="inner">Asked for the completions that are not remembered, each once, in a group of them alone.</param>
    /// <param name="capacity">Rewards to remember, 1 or more; the one not used for longest is forgotten first. About 200 bytes each, whatever the length of the completion.</param>
    /// <returns>A reward of the same name. Failures and abstentions are not remembered. Safe to call from several threads.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="capacity"/> is less than 1.</exception>
    /// <remarks>Prompts of one id must be one prompt, also across data sets.</remarks>
    public static IRewardFunction Cached(IRewardFunction inner, int capacity)
    {
        ArgumentNullException.ThrowIfNull(inner);
        ArgumentOutOfRangeException.ThrowIfLessThan(capacity, 1);
        return new CachedReward(inner, capacity);
    }

    private static PlugInIdentity OfDelegate(string? identity) => new PlugInIdentity("delegate").With("identity", identity);

    private sealed class PerCompletion(string name, Func<Prompt, Completion, Reward> score, string? identity) : CompletionReward, IHasIdentity
    {
        public override string Name => name;

        public PlugInIdentity Identity => OfDelegate(identity);

        public override Reward Score(Prompt prompt, Completion completion) => score(prompt, completion);
    }

    private sealed class PerGroup(string name, Func<RolloutGroup, CancellationToken, ValueTask<IReadOnlyList<Reward>>> score, string? identity)
        : IRewardFunction, IHasIdentity
    {
        public string Name => name;

        public PlugInIdentity Identity => OfDelegate(identity);

        public ValueTask<IReadOnlyList<Reward>> ScoreAsync(RolloutGroup group, CancellationToken cancellationToken = default) =>
            score(group, cancellationToken);
    }
}

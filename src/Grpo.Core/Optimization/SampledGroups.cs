using Grpo.Losses;
using Grpo.Scoring;

namespace Grpo.Optimization;

/// <summary>Collects the groups of a step, round by round, until enough of them have a signal.</summary>
internal sealed class SampledGroups(AdvantageFunction advantage, IReadOnlyDictionary<string, double>? weights, int wanted)
{
    private readonly List<RolloutGroup> _groups = [];
    private readonly List<IReadOnlyList<Reward>> _rewards = [];
    private readonly List<int> _rounds = [];

    /// <summary>The number of groups in each round so far.</summary>
    public IReadOnlyList<int> Rounds => _rounds;

    /// <summary>The number of rewards that failed and were counted as abstentions.</summary>
    public int Errors { get; private set; }

    /// <summary>All groups that were sampled so far.</summary>
    public IReadOnlyList<RolloutGroup> Groups => _groups;

    /// <summary>The rewards of all groups, one list per group.</summary>
    public IReadOnlyList<IReadOnlyList<Reward>> Rewards => _rewards;

    /// <summary>The number of groups with a signal that the step still needs.</summary>
    public int Missing => wanted - GroupFilter.Create(advantage, ForAdvantages(_rewards)).Kept.Count;

    /// <summary>Adds the groups of a round.</summary>
    public void Add(IReadOnlyList<RolloutGroup> groups, RewardScores scores)
    {
        _groups.AddRange(groups);
        _rewards.AddRange(scores.Rewards);
        Errors += scores.Errors;
        _rounds.Add(groups.Count);
    }

    /// <summary>Returns all groups, and the chosen ones: those with a signal first, then others until the step is full.</summary>
    /// <param name="shaped">The rewards with the KL penalty, from which advantages are computed; null to use the original rewards.</param>
    /// <remarks>
    /// Advantages are computed over the chosen groups only, because some methods use statistics of the step. Other groups have advantages
    /// of 0.
    /// </remarks>
    public (IReadOnlyList<ScoredGroup> All, IReadOnlyList<ScoredGroup> Chosen) Score(IReadOnlyList<IReadOnlyList<Reward>>? shaped = null)
    {
        AdvantageGroup[] groups = ForAdvantages(shaped ?? _rewards);
        GroupFilter filter = GroupFilter.Create(advantage, groups);
        int[] chosen = [.. filter.Kept.Concat(filter.Dead).Take(wanted).Order()];
        double[][] advantages = advantage.Compute([.. chosen.Select(index => groups[index])]);
        Dictionary<int, double[]> byGroup = chosen.Zip(advantages).ToDictionary(pair => pair.First, pair => pair.Second);
        ScoredGroup[] all = [.. _groups.Select((group, i) =>
            new ScoredGroup(group, _rewards[i], byGroup.TryGetValue(i, out double[]? own) ? own : new double[_rewards[i].Count]))];
        return (all, [.. chosen.Select(index => all[index])]);
    }

    private AdvantageGroup[] ForAdvantages(IReadOnlyList<IReadOnlyList<Reward>> shaped) =>
        [.. _groups.Zip(shaped, (group, rewards) => AdvantageGroup.From(group, rewards, weights))];
}

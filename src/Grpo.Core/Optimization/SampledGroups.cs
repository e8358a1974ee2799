using Grpo.Losses;
using Grpo.Scoring;

namespace Grpo.Optimization;

/// <summary>The groups of a step as they come in, round by round, until enough of them teach something.</summary>
internal sealed class SampledGroups(AdvantageFunction advantage, IReadOnlyDictionary<string, double>? weights, int wanted)
{
    private readonly List<RolloutGroup> _groups = [];
    private readonly List<IReadOnlyList<Reward>> _rewards = [];
    private readonly List<int> _rounds = [];

    /// <summary>Groups of each round that was added.</summary>
    public IReadOnlyList<int> Rounds => _rounds;

    /// <summary>Rewards that failed and were counted as abstentions.</summary>
    public int Errors { get; private set; }

    /// <summary>What was sampled so far.</summary>
    public IReadOnlyList<RolloutGroup> Groups => _groups;

    /// <summary>Its rewards, as they were given.</summary>
    public IReadOnlyList<IReadOnlyList<Reward>> Rewards => _rewards;

    /// <summary>Groups with a signal that the step still lacks.</summary>
    public int Missing => wanted - GroupFilter.Create(advantage, ForAdvantages(_rewards)).Kept.Count;

    public void Add(IReadOnlyList<RolloutGroup> groups, RewardScores scores)
    {
        _groups.AddRange(groups);
        _rewards.AddRange(scores.Rewards);
        Errors += scores.Errors;
        _rounds.Add(groups.Count);
    }

    /// <summary>All groups, and those that the step learns from: the ones with a signal, and as many others as fill it up.</summary>
    /// <param name="shaped">What the advantages are computed from where that is not the rewards as given; the reports show those.</param>
    /// <remarks>
    /// Advantages are computed over the chosen groups alone, since some methods take statistics over the step; the others get 0.
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

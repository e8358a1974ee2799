using Grpo.Losses;

namespace Grpo.Optimization;

/// <summary>Computes the statistics of a step's completions and rewards.</summary>
internal static class StepStatistics
{
    /// <summary>Creates the report of a step, without its times and sampling rounds.</summary>
    public static StepReport Report(long step, IReadOnlyList<ScoredGroup> groups, int rewardErrors, IReadOnlyList<UpdateReport> updates)
    {
        Completion[] completions = [.. groups.SelectMany(group => group.Group.Completions)];
        Reward[] rewards = [.. groups.SelectMany(group => group.Rewards)];
        double[] scored = Values(rewards);
        bool[] judged = [.. rewards.Select(reward => reward.IsCorrect).OfType<bool>()];
        long tokens = completions.Sum(completion => (long)completion.TokenIds.Count);
        Completion[] measured = [.. completions.Where(completion => completion.MeanEntropy is not null)];
        return new StepReport
        {
            Step = step,
            MeanReward = scored.Length == 0 ? double.NaN : scored.Average(),
            RewardStdDev = groups.Count == 0 ? 0 : groups.Average(group => RewardMoments.ComputeStdDev(Values(group.Rewards))),
            Accuracy = judged.Length == 0 ? null : judged.Count(correct => correct) / (double)judged.Length,
            ZeroStdDevFraction = groups.Count == 0 ? 0 : groups.Count(IsDead) / (double)groups.Count,
            AllRightFraction = judged.Length == 0 ? null : DeadFraction(groups, correct: true),
            AllWrongFraction = judged.Length == 0 ? null : DeadFraction(groups, correct: false),
            Abstained = rewards.Length - scored.Length,
            RewardErrors = rewardErrors,
            MeanCompletionTokens = completions.Length == 0 ? 0 : tokens / (double)completions.Length,
            TruncatedFraction = completions.Length == 0
                ? 0
                : completions.Count(completion => completion.FinishReason == FinishReason.Truncated) / (double)completions.Length,
            Entropy = measured.Length == 0 ? null : measured.Sum(completion => completion.MeanEntropy!.Value * completion.TokenIds.Count)
                / measured.Sum(completion => completion.TokenIds.Count),
            CompletionTokens = tokens,
            RewardComponents = Components(rewards),
            Verdicts = CountVerdicts(rewards),
            Updates = updates,
            Groups = groups,
        };
    }

    /// <summary>Counts how often each verdict occurs.</summary>
    public static IReadOnlyDictionary<string, int> CountVerdicts(IEnumerable<Reward> rewards)
    {
        var counts = new SortedDictionary<string, int>(StringComparer.Ordinal);
        foreach (string verdict in rewards.Select(reward => reward.Verdict).OfType<string>())
        {
            counts[verdict] = counts.GetValueOrDefault(verdict) + 1;
        }

        return counts;
    }

    /// <summary>Returns the values of all rewards that are not abstentions.</summary>
    public static double[] Values(IEnumerable<Reward> rewards) => [.. rewards.Select(reward => reward.Value).OfType<double>()];

    private static bool IsDead(ScoredGroup group) => group.Advantages.All(advantage => advantage == 0);

    // GroupFilter counts in this way too: abstentions are ignored, and a group without any score is neither right nor wrong.
    private static double DeadFraction(IReadOnlyList<ScoredGroup> groups, bool correct) => groups.Count(group =>
        IsDead(group)
        && group.Rewards.Any(reward => reward.Value is not null)
        && group.Rewards.Where(reward => reward.Value is not null).All(reward => reward.IsCorrect == correct)) / (double)groups.Count;

    private static SortedDictionary<string, double> Components(Reward[] rewards)
    {
        var means = new SortedDictionary<string, double>(StringComparer.Ordinal);
        foreach (var parts in rewards.Where(reward => reward.Components is not null).SelectMany(reward => reward.Components!)
            .GroupBy(part => part.Key))
        {
            double[] values = [.. parts.Select(part => part.Value).OfType<double>()];
            if (values.Length > 0)
            {
                means[parts.Key] = values.Average();
            }
        }

        return means;
    }
}

using Grpo.Evaluation;

namespace Grpo.Callbacks;

/// <summary>The same prompts before and after the run.</summary>
internal sealed class BeforeAfter
{
    private const int Shown = 12;

    private BeforeAfter(IReadOnlyList<Pair> pairs) => Pairs = pairs;

    public IReadOnlyList<Pair> Pairs { get; }

    /// <summary>Pairs by prompt id; empty when either evaluation is missing or kept no completions.</summary>
    public static BeforeAfter Of(EvaluationReport? before, EvaluationReport? after)
    {
        if (before is null || after is null || ReferenceEquals(before, after))
        {
            return new BeforeAfter([]);
        }

        var earlier = new Dictionary<string, Side>(StringComparer.Ordinal);
        foreach ((Prompt prompt, Side side) in Sides(before))
        {
            earlier.TryAdd(prompt.Id, side);
        }

        return new BeforeAfter(
            [.. Sides(after).Where(pair => earlier.ContainsKey(pair.Prompt.Id)).Select(pair => new Pair(pair.Prompt, earlier[pair.Prompt.Id], pair.Side))]);
    }

    public int Count(Change change) => Pairs.Count(pair => pair.Change == change);

    /// <summary>Up to a dozen: a third each of gained and lost where there are that many, then of what stayed; data set order within each.</summary>
    public IReadOnlyList<Pair> Choose()
    {
        Pair[][] byChange = [.. Enum.GetValues<Change>().Select(change => Pairs.Where(pair => pair.Change == change).ToArray())];
        int[] taken = [.. byChange.Select((pairs, i) => Math.Min(pairs.Length, i < 2 ? Shown / 3 : Shown / 6))];
        for (int i = 0; i < taken.Length; i++)
        {
            taken[i] += Math.Min(byChange[i].Length - taken[i], Shown - taken.Sum()); // what one kind leaves the next may use
        }

        return [.. byChange.SelectMany((pairs, i) => pairs.Take(taken[i]))];
    }

    /// <summary>The prompts of an evaluation, each with its first completion.</summary>
    public static IEnumerable<(Prompt Prompt, Side Side)> Sides(EvaluationReport report)
    {
        int position = 0;
        foreach (RolloutGroup group in report.Groups)
        {
            if (group.Completions.Count > 0 && position < report.Rewards.Count)
            {
                yield return (group.Prompt, new Side(group.Completions[0], report.Rewards[position]));
            }

            position += group.Completions.Count;
        }
    }

    /// <summary>A completion and what the reward said of it.</summary>
    internal sealed record Side(Completion Completion, Reward Reward);

    /// <summary>A prompt with both.</summary>
    internal sealed record Pair(Prompt Prompt, Side Before, Side After)
    {
        /// <summary>By correctness where the reward judges it, else by the reward.</summary>
        public Change Change => (Before.Reward.IsCorrect, After.Reward.IsCorrect) switch
        {
            (false, true) => Change.Gained,
            (true, false) => Change.Lost,
            (true, true) => Change.StillRight,
            (false, false) => Change.StillWrong,
            _ when After.Reward.Value > Before.Reward.Value => Change.Gained,
            _ when After.Reward.Value < Before.Reward.Value => Change.Lost,
            _ => Change.Same,
        };
    }
}

/// <summary>What became of a prompt.</summary>
internal enum Change
{
    /// <summary>Wrong before, right after; or a higher reward.</summary>
    Gained,

    /// <summary>Right before, wrong after; or a lower reward.</summary>
    Lost,

    /// <summary>Wrong both times.</summary>
    StillWrong,

    /// <summary>Right both times.</summary>
    StillRight,

    /// <summary>The same reward, of a reward that does not judge.</summary>
    Same,
}

using Grpo.Evaluation;

namespace Grpo.Callbacks;

/// <summary>The pairs of completions of each held-out prompt, from before and after the run.</summary>
internal sealed class BeforeAfter
{
    private const int Shown = 12;

    private BeforeAfter(IReadOnlyList<Pair> pairs) => Pairs = pairs;

    public IReadOnlyList<Pair> Pairs { get; }

    /// <summary>Creates the pairs by prompt id. There are none if an evaluation is missing or has no completions.</summary>
    public static BeforeAfter From(EvaluationReport? before, EvaluationReport? after)
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
            [.. Sides(after).Where(pair => earlier.ContainsKey(pair.Prompt.Id))
                .Select(pair => new Pair(pair.Prompt, earlier[pair.Prompt.Id], pair.Side))]);
    }

    public int Count(Change change) => Pairs.Count(pair => pair.Change == change);

    /// <summary>Selects up to 12 pairs: up to 4 gained, 4 lost, and then unchanged ones, each kind in the order of the data set.</summary>
    public IReadOnlyList<Pair> Choose()
    {
        Pair[][] byChange = [.. Enum.GetValues<Change>().Select(change => Pairs.Where(pair => pair.Change == change).ToArray())];
        int[] taken = [.. byChange.Select((pairs, i) => Math.Min(pairs.Length, i < 2 ? Shown / 3 : Shown / 6))];
        for (int i = 0; i < taken.Length; i++)
        {
            taken[i] += Math.Min(byChange[i].Length - taken[i], Shown - taken.Sum()); // the next kind fills the gap that one kind leaves
        }

        return [.. byChange.SelectMany((pairs, i) => pairs.Take(taken[i]))];
    }

    /// <summary>Returns the prompts of an evaluation, each with its first completion.</summary>
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

    /// <summary>A completion and its reward.</summary>
    internal sealed record Side(Completion Completion, Reward Reward);

    /// <summary>A prompt with its completions before and after.</summary>
    internal sealed record Pair(Prompt Prompt, Side Before, Side After)
    {
        /// <summary>The change by correctness, or by the value of the reward if that does not judge correctness.</summary>
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

/// <summary>The change of a prompt's completion between two evaluations.</summary>
internal enum Change
{
    /// <summary>It was wrong and is right, or its reward is higher.</summary>
    Gained,

    /// <summary>It was right and is wrong, or its reward is lower.</summary>
    Lost,

    /// <summary>It was wrong and is wrong.</summary>
    StillWrong,

    /// <summary>It was right and is right.</summary>
    StillRight,

    /// <summary>Its reward is unchanged, and the reward does not judge correctness.</summary>
    Same,
}

namespace Grpo.Losses;

/// <summary>Separates the groups of a step from which something can be learned from the dead ones, for dynamic sampling.</summary>
/// <remarks>
/// DAPO, arXiv:2503.14476, drops groups that are all right or all wrong and samples others instead.
/// <see cref="AdvantageFunction.CanLearnFrom"/> decides which groups are dead, so no group is dropped from which the chosen method would
/// learn.
/// </remarks>
internal sealed record GroupFilter
{
    private GroupFilter(IReadOnlyList<int> kept, IReadOnlyList<int> dead, int allRight, int allWrong)
    {
        Kept = kept;
        Dead = dead;
        AllRight = allRight;
        AllWrong = allWrong;
    }

    /// <summary>The indices of the groups from which something can be learned, ascending.</summary>
    public IReadOnlyList<int> Kept { get; }

    /// <summary>The indices of the groups whose advantages are all 0, ascending.</summary>
    public IReadOnlyList<int> Dead { get; }

    /// <summary>The number of dead groups whose scored completions all solved the task.</summary>
    public int AllRight { get; }

    /// <summary>The number of dead groups whose scored completions all failed the task.</summary>
    public int AllWrong { get; }

    /// <summary>The number of other dead groups: not judged, judged both ways at equal rewards, or without a reward.</summary>
    public int OtherDead => Dead.Count - AllRight - AllWrong;

    /// <summary>The fraction of dead groups, 0 to 1; 0 without groups.</summary>
    public double DeadFraction => Dead.Count == 0 ? 0 : Dead.Count / (double)(Dead.Count + Kept.Count);

    /// <summary>Separates the groups.</summary>
    /// <param name="function">The advantage function that will learn from the groups.</param>
    /// <param name="groups">The groups of all rounds of sampling together.</param>
    /// <exception cref="ArgumentException">
    /// The groups are invalid for <see cref="AdvantageFunction.Compute"/>, or correctness is given for another number of completions.
    /// </exception>
    public static GroupFilter Create(AdvantageFunction function, IReadOnlyList<AdvantageGroup> groups)
    {
        ArgumentNullException.ThrowIfNull(function);
        GroupScores[] scores = GroupScores.From(groups);
        var kept = new List<int>();
        var dead = new List<int>();
        int allRight = 0, allWrong = 0;
        for (int i = 0; i < scores.Length; i++)
        {
            bool?[] judged = Judged(groups[i], i);
            if (scores[i].Rewards.Count >= 2 && function.CanLearnFrom(scores[i]))
            {
                kept.Add(i);
                continue;
            }

            dead.Add(i);
            allRight += judged.Length > 0 && judged.All(correct => correct == true) ? 1 : 0;
            allWrong += judged.Length > 0 && judged.All(correct => correct == false) ? 1 : 0;
        }

        return new GroupFilter(kept, dead, allRight, allWrong);
    }

    // Returns the judgments of the scored completions. An abstention says nothing about right and wrong.
    private static bool?[] Judged(AdvantageGroup group, int index)
    {
        if (group.Correct.Count == 0)
        {
            return [];
        }

        if (group.Correct.Count != group.Rewards.Count)
        {
            throw new ArgumentException(
                $"Group {index} has {group.Rewards.Count} rewards but {group.Correct.Count} judgments of correctness; "
                + "there must be one per reward or none.",
                nameof(group));
        }

        return [.. group.Correct.Where((_, i) => group.Rewards[i] is not null)];
    }
}

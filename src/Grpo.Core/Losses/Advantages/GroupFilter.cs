namespace Grpo.Losses;

/// <summary>Which groups of a step teach something, and what became of the others: the bookkeeping of dynamic sampling.</summary>
/// <remarks>
/// DAPO, arXiv:2503.14476, drops groups that are all right or all wrong and samples others in their place. Dead is what
/// <see cref="AdvantageFunction.CanLearnFrom"/> says, so that nothing is dropped from which the chosen method would have learned.
/// </remarks>
public sealed record GroupFilter
{
    private GroupFilter(IReadOnlyList<int> kept, IReadOnlyList<int> dead, int allRight, int allWrong)
    {
        Kept = kept;
        Dead = dead;
        AllRight = allRight;
        AllWrong = allWrong;
    }

    /// <summary>The groups that teach something, by index, ascending.</summary>
    public IReadOnlyList<int> Kept { get; }

    /// <summary>The groups whose advantages are all 0, by index, ascending.</summary>
    public IReadOnlyList<int> Dead { get; }

    /// <summary>Dead groups whose scored completions all solved the task.</summary>
    public int AllRight { get; }

    /// <summary>Dead groups whose scored completions all failed the task.</summary>
    public int AllWrong { get; }

    /// <summary>Dead groups that are neither: not judged by right and wrong, judged both ways at equal rewards, or without a score.</summary>
    public int OtherDead => Dead.Count - AllRight - AllWrong;

    /// <summary>Dead groups over all groups, 0 to 1; 0 when there are no groups.</summary>
    public double DeadFraction => Dead.Count == 0 ? 0 : Dead.Count / (double)(Dead.Count + Kept.Count);

    /// <summary>Sorts the groups.</summary>
    /// <param name="function">The method that is going to learn from them.</param>
    /// <param name="groups">The groups; call it on those of all rounds together to count over re-sampling.</param>
    /// <exception cref="ArgumentException">As <see cref="AdvantageFunction.Compute"/>, or correctness is given for another number of completions.</exception>
    public static GroupFilter Of(AdvantageFunction function, IReadOnlyList<AdvantageGroup> groups)
    {
        ArgumentNullException.ThrowIfNull(function);
        GroupScores[] scores = GroupScores.Of(groups);
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

    // Of the scored completions; an abstention says nothing about right and wrong.
    private static bool?[] Judged(AdvantageGroup group, int index)
    {
        if (group.Correct.Count == 0)
        {
            return [];
        }

        if (group.Correct.Count != group.Rewards.Count)
        {
            throw new ArgumentException(
                $"Group {index} has {group.Rewards.Count} rewards but {group.Correct.Count} judgements of correctness; there must be one per reward or none.",
                nameof(group));
        }

        return [.. group.Correct.Where((_, i) => group.Rewards[i] is not null)];
    }
}

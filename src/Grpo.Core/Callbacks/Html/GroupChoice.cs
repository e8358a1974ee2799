namespace Grpo.Callbacks;

/// <summary>Picks what is shown token by token: the groups that taught most, and of each the completions at both ends.</summary>
internal static class GroupChoice
{
    public const int Groups = 2;
    public const int Completions = 4;

    /// <summary>The choice is a function of the report alone; none when no group of the step has a signal.</summary>
    public static IReadOnlyList<ShownGroup> Of(StepReport report) =>
    [
        .. report.Groups
            .Where(group => group.Advantages.Any(advantage => advantage != 0))
            .OrderByDescending(Spread)
            .ThenBy(group => group.Group.Prompt.Id, StringComparer.Ordinal)
            .Take(Groups)
            .Select(group => Shorten(report.Step, group)),
    ];

    private static double Spread(ScoredGroup group)
    {
        double[] values = [.. group.Rewards.Select(reward => reward.Value).OfType<double>()];
        return values.Length == 0 ? 0 : values.Max() - values.Min();
    }

    private static ShownGroup Shorten(long step, ScoredGroup scored)
    {
        RolloutGroup group = scored.Group;
        int[] order = [.. Enumerable.Range(0, group.Completions.Count).OrderByDescending(i => scored.Advantages[i])];
        int[] shown = order.Length <= Completions ? order : [.. order[..(Completions / 2)], .. order[^(Completions / 2)..]];
        return new ShownGroup(
            step,
            group.Prompt,
            group.PromptTokenIds,
            group.Completions.Count,
            [.. shown.Select(i => new ShownCompletion(i, group.Completions[i], scored.Rewards[i], scored.Advantages[i]))]);
    }
}

/// <summary>A group, cut down to what is shown.</summary>
/// <param name="Step">The step that sampled it.</param>
/// <param name="Prompt">The prompt.</param>
/// <param name="PromptTokenIds">Its ids.</param>
/// <param name="Size">Completions of the whole group.</param>
/// <param name="Completions">Those that are shown, highest advantage first.</param>
internal sealed record ShownGroup(long Step, Prompt Prompt, IReadOnlyList<int> PromptTokenIds, int Size, IReadOnlyList<ShownCompletion> Completions);

/// <summary>A completion of a group.</summary>
/// <param name="Sample">Its index in the group.</param>
/// <param name="Completion">The completion.</param>
/// <param name="Reward">Its reward.</param>
/// <param name="Advantage">Its advantage.</param>
internal sealed record ShownCompletion(int Sample, Completion Completion, Reward Reward, double Advantage);

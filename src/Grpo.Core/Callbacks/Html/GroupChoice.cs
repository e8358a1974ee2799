namespace Grpo.Callbacks;

/// <summary>Selects the groups that are shown token by token, and of each the completions with the highest and lowest advantages.</summary>
internal static class GroupChoice
{
    public const int Groups = 2;
    public const int Completions = 4;

    /// <summary>Selects the groups of a step with the largest spread of rewards; none if no group has a nonzero advantage.</summary>
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

/// <summary>A group with the completions that the report shows.</summary>
/// <param name="Step">The step of the group.</param>
/// <param name="Prompt">The prompt.</param>
/// <param name="PromptTokenIds">The token ids of the prompt.</param>
/// <param name="Size">The number of completions of the whole group.</param>
/// <param name="Completions">The completions that are shown, by descending advantage.</param>
internal sealed record ShownGroup(
    long Step, Prompt Prompt, IReadOnlyList<int> PromptTokenIds, int Size, IReadOnlyList<ShownCompletion> Completions);

/// <summary>A completion that the report shows.</summary>
/// <param name="Sample">The index in the group.</param>
/// <param name="Completion">The completion.</param>
/// <param name="Reward">The reward of the completion.</param>
/// <param name="Advantage">The advantage of the completion.</param>
internal sealed record ShownCompletion(int Sample, Completion Completion, Reward Reward, double Advantage);

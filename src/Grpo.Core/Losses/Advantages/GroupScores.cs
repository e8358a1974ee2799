namespace Grpo.Losses;

/// <summary>The scored completions of a group, as an advantage function reads them: checked, and without abstentions.</summary>
public sealed class GroupScores
{
    private GroupScores(double[] rewards, int[] lengths, RewardPart[] parts)
    {
        Rewards = rewards;
        Lengths = lengths;
        Parts = parts;
        Moments = RewardMoments.Compute(rewards);
    }

    /// <summary>The rewards of the scored completions, finite.</summary>
    public IReadOnlyList<double> Rewards { get; }

    /// <summary>The number of tokens of each scored completion, 0 or more.</summary>
    public IReadOnlyList<int> Lengths { get; }

    /// <summary>
    /// The weighted parts of the rewards, each with a value per entry of <see cref="Rewards"/>. Empty if they are not known.
    /// </summary>
    public IReadOnlyList<RewardPart> Parts { get; }

    /// <summary>The mean, standard deviation and extremes of <see cref="Rewards"/>.</summary>
    public RewardMoments Moments { get; }

    /// <summary>Checks the groups and removes the abstentions.</summary>
    internal static GroupScores[] From(IReadOnlyList<AdvantageGroup> groups)
    {
        ArgumentNullException.ThrowIfNull(groups);
        return [.. groups.Select(
            (group, index) => From(group ?? throw new ArgumentException($"Group {index} is null.", nameof(groups)), index))];
    }

    private static GroupScores From(AdvantageGroup group, int index)
    {
        RequireCount("lengths", group.Lengths.Count, group, index);
        RequireFinite("Reward", group.Rewards, index);
        foreach (RewardPart part in group.Parts)
        {
            RequireCount($"values of the part '{part.Name}'", part.Values.Count, group, index);
            RequireFinite($"Part '{part.Name}' of reward", part.Values, index);
            if (!double.IsFinite(part.Weight))
            {
                throw new ArgumentException(FormattableString.Invariant(
                    $"The weight of the part '{part.Name}' of group {index} is {part.Weight} but must be a finite number."), nameof(group));
            }
        }

        for (int i = 0; i < group.Lengths.Count; i++)
        {
            if (group.Lengths[i] < 0)
            {
                throw new ArgumentException(
                    $"Length {i} of group {index} is {group.Lengths[i]} but must be 0 or more tokens.", nameof(group));
            }
        }

        int[] scored = [.. Enumerable.Range(0, group.Rewards.Count).Where(i => group.Rewards[i] is not null)];
        return new GroupScores(
            [.. scored.Select(i => group.Rewards[i]!.Value)],
            [.. scored.Select(i => group.Lengths[i])],
            [.. group.Parts.Select(part => part with { Values = [.. scored.Select(i => part.Values[i])] })]);
    }

    private static void RequireCount(string what, int count, AdvantageGroup group, int index)
    {
        if (count != group.Rewards.Count)
        {
            throw new ArgumentException(
                $"Group {index} has {group.Rewards.Count} rewards but {count} {what}; there must be one per reward.", nameof(group));
        }
    }

    private static void RequireFinite(string what, IReadOnlyList<double?> values, int index)
    {
        for (int i = 0; i < values.Count; i++)
        {
            if (values[i] is { } value && !double.IsFinite(value))
            {
                throw new ArgumentException(
                    FormattableString.Invariant($"{what} {i} of group {index} is {value}; rewards must be finite (null abstains)."),
                    nameof(values));
            }
        }
    }
}

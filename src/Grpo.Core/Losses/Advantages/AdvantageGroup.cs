namespace Grpo.Losses;

/// <summary>What is known of a group when its advantages are computed. Checked by <see cref="AdvantageFunction.Compute"/>.</summary>
/// <param name="Rewards">One per completion, finite; null abstains.</param>
/// <param name="Lengths">The number of tokens of each completion, the end token included.</param>
public sealed record AdvantageGroup(IReadOnlyList<double?> Rewards, IReadOnlyList<int> Lengths)
{
    /// <summary>The weighted rewards that the total is made of; empty when it is not known to be a sum.</summary>
    public IReadOnlyList<RewardPart> Parts { get; init; } = [];

    /// <summary>Whether each completion solved its task; null where the reward does not judge that. Empty: nothing is judged.</summary>
    public IReadOnlyList<bool?> Correct { get; init; } = [];

    /// <summary>The view of a scored group.</summary>
    /// <param name="group">The rollouts.</param>
    /// <param name="rewards">One per completion, same order.</param>
    /// <param name="weights">Which of <see cref="Reward.Components"/> add up to the value, and with what weight; null: not known.</param>
    /// <exception cref="ArgumentException">The counts differ, or a reward lacks a component that has a weight.</exception>
    public static AdvantageGroup From(RolloutGroup group, IReadOnlyList<Reward> rewards, IReadOnlyDictionary<string, double>? weights = null)
    {
        ArgumentNullException.ThrowIfNull(group);
        ArgumentNullException.ThrowIfNull(rewards);
        if (rewards.Count != group.Completions.Count)
        {
            throw new ArgumentException($"There are {rewards.Count} rewards for {group.Completions.Count} completions; there must be one each.", nameof(rewards));
        }

        return new AdvantageGroup([.. rewards.Select(reward => reward.Value)], [.. group.Completions.Select(completion => completion.TokenIds.Count)])
        {
            Parts = weights is null ? [] : [.. weights.Select(part => new RewardPart(part.Key, part.Value, Values(rewards, part.Key)))],
            Correct = [.. rewards.Select(reward => reward.IsCorrect)],
        };
    }

    private static double?[] Values(IReadOnlyList<Reward> rewards, string name)
    {
        var values = new double?[rewards.Count];
        for (int i = 0; i < values.Length; i++)
        {
            if (rewards[i].Value is null)
            {
                continue; // abstained, or failed and was counted as an abstention: there may be no components
            }

            // A misspelt name would otherwise abstain everywhere and go unnoticed.
            if (rewards[i].Components?.TryGetValue(name, out values[i]) != true)
            {
                string known = string.Join(", ", rewards[i].Components?.Keys ?? []);
                throw new ArgumentException($"Reward {i} of the group has no component '{name}', which has a weight; its components are [{known}].", nameof(rewards));
            }
        }

        return values;
    }
}

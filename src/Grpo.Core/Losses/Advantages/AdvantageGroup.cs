namespace Grpo.Losses;

/// <summary>The rewards and lengths of a group, from which its advantages are computed.</summary>
/// <remarks><see cref="AdvantageFunction.Compute"/> checks them.</remarks>
/// <param name="Rewards">The rewards, one per completion, finite. Null is an abstention.</param>
/// <param name="Lengths">The number of tokens of each completion, including the end token.</param>
public sealed record AdvantageGroup(IReadOnlyList<double?> Rewards, IReadOnlyList<int> Lengths)
{
    /// <summary>The weighted rewards whose sum is the total. Empty if it is not known to be a sum.</summary>
    public IReadOnlyList<RewardPart> Parts { get; init; } = [];

    /// <summary>
    /// True for each completion that solved its task, null if its reward does not judge that. Empty if no completion is judged.
    /// </summary>
    public IReadOnlyList<bool?> Correct { get; init; } = [];

    /// <summary>Creates the group from a rollout group and its rewards.</summary>
    /// <param name="group">The sampled completions.</param>
    /// <param name="rewards">The rewards, one per completion, in order.</param>
    /// <param name="weights">
    /// The weights of those <see cref="Reward.Components"/> that add up to the value. Null if they are not known.
    /// </param>
    /// <returns>The group, ready for <see cref="AdvantageFunction.Compute"/>.</returns>
    /// <exception cref="ArgumentException">The counts differ, or a reward lacks a component that has a weight.</exception>
    public static AdvantageGroup From(
        RolloutGroup group, IReadOnlyList<Reward> rewards, IReadOnlyDictionary<string, double>? weights = null)
    {
        ArgumentNullException.ThrowIfNull(group);
        ArgumentNullException.ThrowIfNull(rewards);
        if (rewards.Count != group.Completions.Count)
        {
            throw new ArgumentException(
                $"There are {rewards.Count} rewards for {group.Completions.Count} completions; there must be one each.", nameof(rewards));
        }

        return new AdvantageGroup(
            [.. rewards.Select(reward => reward.Value)], [.. group.Completions.Select(completion => completion.TokenIds.Count)])
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
                continue; // an abstention, or a failure that counts as one: there may be no components
            }

            // Without this check a misspelled name would abstain everywhere, unnoticed.
            if (rewards[i].Components?.TryGetValue(name, out values[i]) != true)
            {
                string known = string.Join(", ", rewards[i].Components?.Keys ?? []);
                throw new ArgumentException(
                    $"Reward {i} of the group has no component '{name}', which has a weight; its components are [{known}].",
                    nameof(rewards));
            }
        }

        return values;
    }
}

/// <summary>One reward of a weighted sum, with its values for the completions of a group.</summary>
/// <param name="Name">The name of the reward.</param>
/// <param name="Weight">The weight of the reward in the sum, finite.</param>
/// <param name="Values">The values before weighting, one per completion, finite. Null is an abstention.</param>
public sealed record RewardPart(string Name, double Weight, IReadOnlyList<double?> Values);

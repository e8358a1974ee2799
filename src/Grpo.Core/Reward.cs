namespace Grpo;

/// <summary>What a reward function says of one completion.</summary>
/// <param name="Value">The reward; null abstains: the completion then takes no part in its group's statistics. NaN and ∞ are errors.</param>
public readonly record struct Reward(double? Value)
{
    /// <summary>Says nothing about this completion.</summary>
    public static Reward Abstain => new(null);

    /// <summary>The parts that the value was made of, by name, for the metrics <c>rewards/&lt;name&gt;</c>; null when there are none.</summary>
    public IReadOnlyDictionary<string, double?>? Components { get; init; }

    /// <summary>Which <see cref="Components"/> add up to the value, and with what weight; null when it is not a sum. Per-reward advantages read it.</summary>
    public IReadOnlyDictionary<string, double>? Weights { get; init; }

    /// <summary>A short stable label for why this value was given ("Correct", "NoAnswer" …); reports count them. Null: no label.</summary>
    public string? Verdict { get; init; }

    /// <summary>Whether the task was solved, for accuracy; null when the reward does not judge that.</summary>
    public bool? IsCorrect { get; init; }

    /// <summary>
    /// The answer that the completion was judged by, in one form for all ways to write it ("42" also for "42.0"), so that votes can be counted.
    /// Null when there is none, or when the reward does not tell. Answers of one prompt that are equal are equally correct.
    /// </summary>
    public string? Answer { get; init; }

    /// <summary>A plain value.</summary>
    /// <param name="value">The reward.</param>
    public static implicit operator Reward(double value) => new(value);

    /// <summary>A value, or an abstention.</summary>
    /// <param name="value">The reward, or null to abstain.</param>
    public static implicit operator Reward(double? value) => new(value);

    /// <summary>The same as the implicit conversion, for languages without it.</summary>
    /// <param name="value">The reward.</param>
    public static Reward ToReward(double value) => new(value);
}

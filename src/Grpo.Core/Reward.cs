namespace Grpo;

/// <summary>The judgment of a reward function on one completion: a value, with optional details for metrics and reports.</summary>
/// <param name="Value">
/// The value of the reward. Null abstains: the completion is then left out of the statistics of its group. NaN and ∞ are errors.
/// </param>
public readonly record struct Reward(double? Value)
{
    /// <summary>A reward without a value, which means that the reward function abstains.</summary>
    public static Reward Abstain => new(null);

    /// <summary>The parts of the value by name, for the metrics <c>rewards/&lt;name&gt;</c>. Null if there are none.</summary>
    public IReadOnlyDictionary<string, double?>? Components { get; init; }

    /// <summary>
    /// A short, stable label for the reason of the value, such as "Correct" or "NoAnswer". Reports count the labels. Null for none.
    /// </summary>
    public string? Verdict { get; init; }

    /// <summary>
    /// True if the completion solves the task. Accuracy is computed from it. Null if the reward function does not judge correctness.
    /// </summary>
    public bool? IsCorrect { get; init; }

    /// <summary>
    /// The answer that was judged, in one canonical form ("42" also for "42.0"), so that majority votes can be counted. Null if there is no
    /// answer or the reward function does not report it. Equal answers to one prompt must be equally correct.
    /// </summary>
    public string? Answer { get; init; }

    /// <summary>Converts a number to a reward of that value.</summary>
    /// <param name="value">The value of the reward.</param>
    public static implicit operator Reward(double value) => new(value);

    /// <summary>Converts a number to a reward of that value, or null to an abstention.</summary>
    /// <param name="value">The value of the reward, or null to abstain.</param>
    public static implicit operator Reward(double? value) => new(value);

    /// <summary>Converts a number to a reward of that value, for languages without implicit conversions.</summary>
    /// <param name="value">The value of the reward.</param>
    public static Reward ToReward(double value) => new(value);
}

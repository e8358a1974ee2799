namespace Grpo.Scoring;

/// <summary>
/// The handling of a failed reward function: one that throws, exceeds its time limit, or returns NaN, ∞ or a wrong number of rewards.
/// </summary>
public enum RewardErrorHandling
{
    /// <summary>The step ends with a <see cref="RewardException"/>.</summary>
    Throw,

    /// <summary>The affected completions abstain with the verdict "Error" and are counted. They never get a silent 0.</summary>
    Abstain,
}

namespace Grpo.Scoring;

/// <summary>What happens when a reward function fails: throws, times out, returns NaN, ∞ or the wrong number of rewards.</summary>
public enum RewardErrorHandling
{
    /// <summary>The step ends with a <see cref="RewardException"/>.</summary>
    Throw,

    /// <summary>The completions concerned abstain, with the label "Error", and are counted. Never a silent 0.</summary>
    Abstain,
}

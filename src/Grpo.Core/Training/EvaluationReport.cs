namespace Grpo;

/// <summary>What an evaluation found.</summary>
public sealed record EvaluationReport
{
    /// <summary>Prompts evaluated.</summary>
    public required int Count { get; init; }

    /// <summary>Fraction of completions judged correct; null when the reward does not judge that.</summary>
    public double? Accuracy { get; init; }

    /// <summary>Mean reward of the completions that were scored.</summary>
    public double MeanReward { get; init; }

    /// <summary>Mean completion length, tokens.</summary>
    public double MeanCompletionTokens { get; init; }

    /// <summary>How often each verdict was given.</summary>
    public IReadOnlyDictionary<string, int> Verdicts { get; init; } = new Dictionary<string, int>();

    /// <summary>The completions, in the order of the prompts.</summary>
    public IReadOnlyList<RolloutGroup> Groups { get; init; } = [];

    /// <summary>Their rewards, in the same order.</summary>
    public IReadOnlyList<Reward> Rewards { get; init; } = [];
}

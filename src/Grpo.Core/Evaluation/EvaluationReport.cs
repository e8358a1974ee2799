using System.Text.Json.Serialization;

namespace Grpo.Evaluation;

/// <summary>What an evaluation found.</summary>
public sealed record EvaluationReport
{
    /// <summary>Prompts evaluated.</summary>
    public required int Count { get; init; }

    /// <summary>Fraction of completions judged correct; null when the reward does not judge that.</summary>
    public double? Accuracy { get; init; }

    /// <summary>Wilson's interval of <see cref="Accuracy"/>.</summary>
    public ConfidenceInterval? AccuracyInterval { get; init; }

    /// <summary>
    /// Fraction of the same completions that is correct by the reward's lenient measure, <see cref="EvaluationOptions.LenientComponent"/>;
    /// null when it has none.
    /// </summary>
    public double? LenientAccuracy { get; init; }

    /// <summary>Wilson's interval of <see cref="LenientAccuracy"/>.</summary>
    public ConfidenceInterval? LenientInterval { get; init; }

    /// <summary>The confidence of all intervals.</summary>
    public double Confidence { get; init; } = 0.95;

    /// <summary>Mean reward of the completions that were scored.</summary>
    public double MeanReward { get; init; }

    /// <summary>Mean completion length, tokens.</summary>
    public double MeanCompletionTokens { get; init; }

    /// <summary>How often each verdict was given.</summary>
    public IReadOnlyDictionary<string, int> Verdicts { get; init; } = new Dictionary<string, int>();

    /// <summary>
    /// Accuracy by difficulty: numbers in their order, then other names in theirs, then prompts without one. Empty when no prompt has one
    /// or the reward does not judge.
    /// </summary>
    public IReadOnlyList<DifficultyAccuracy> Difficulties { get; init; } = [];

    /// <summary>pass@k and maj@k; null when <see cref="EvaluationOptions.Samples"/> is 0.</summary>
    public SampledEvaluation? Sampled { get; init; }

    /// <summary>The prompts one by one, in their order.</summary>
    public IReadOnlyList<EvaluationItem> Items { get; init; } = [];

    /// <summary>The completions, in the order of the prompts. Not in the file.</summary>
    [JsonIgnore]
    public IReadOnlyList<RolloutGroup> Groups { get; init; } = [];

    /// <summary>Their rewards, in the same order. Not in the file.</summary>
    [JsonIgnore]
    public IReadOnlyList<Reward> Rewards { get; init; } = [];
}

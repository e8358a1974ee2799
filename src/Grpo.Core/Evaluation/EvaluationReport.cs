using System.Text.Json.Serialization;

namespace Grpo.Evaluation;

/// <summary>The result of an evaluation.</summary>
public sealed record EvaluationReport
{
    /// <summary>The number of prompts evaluated.</summary>
    public required int Count { get; init; }

    /// <summary>The fraction of the judged completions that are correct. Null if the reward does not judge correctness.</summary>
    public double? Accuracy { get; init; }

    /// <summary>The Wilson interval of <see cref="Accuracy"/>; null if that is null.</summary>
    public ConfidenceInterval? AccuracyInterval { get; init; }

    /// <summary>
    /// The fraction of the completions that are correct by the lenient measure of the reward
    /// (<see cref="EvaluationOptions.LenientComponent"/>).
    /// Null if the reward has none.
    /// </summary>
    public double? LenientAccuracy { get; init; }

    /// <summary>The Wilson interval of <see cref="LenientAccuracy"/>; null if that is null.</summary>
    public ConfidenceInterval? LenientInterval { get; init; }

    /// <summary>The confidence level of all intervals. Default 0.95.</summary>
    public double Confidence { get; init; } = 0.95;

    /// <summary>The mean reward of the completions that have one; NaN if none has.</summary>
    public double MeanReward { get; init; }

    /// <summary>The mean length of a completion in tokens.</summary>
    public double MeanCompletionTokens { get; init; }

    /// <summary>The number of completions per verdict.</summary>
    public IReadOnlyDictionary<string, int> Verdicts { get; init; } = new Dictionary<string, int>();

    /// <summary>
    /// The accuracy by difficulty: numbers in ascending order, then other names in alphabetical order, then prompts without a difficulty.
    /// Empty if no prompt has a difficulty or the reward does not judge correctness.
    /// </summary>
    public IReadOnlyList<DifficultyAccuracy> Difficulties { get; init; } = [];

    /// <summary>
    /// The result with several samples per prompt: pass@k and maj@k. Null if <see cref="EvaluationOptions.Samples"/> is 0.
    /// </summary>
    public SampledEvaluation? Sampled { get; init; }

    /// <summary>The result of each prompt, in the order of the prompts.</summary>
    public IReadOnlyList<EvaluationItem> Items { get; init; } = [];

    /// <summary>The completions, in the order of the prompts. Not written to the evaluation file.</summary>
    [JsonIgnore]
    public IReadOnlyList<RolloutGroup> Groups { get; init; } = [];

    /// <summary>The rewards of the completions, in the order of the prompts. Not written to the evaluation file.</summary>
    [JsonIgnore]
    public IReadOnlyList<Reward> Rewards { get; init; } = [];
}

/// <summary>The accuracy on the prompts of one difficulty.</summary>
public sealed record DifficultyAccuracy
{
    /// <summary>The value of the field <see cref="EvaluationOptions.DifficultyField"/>; empty for prompts without the field.</summary>
    public required string Difficulty { get; init; }

    /// <summary>The number of judged completions, one per prompt.</summary>
    public required int Count { get; init; }

    /// <summary>The fraction of the judged completions that are correct.</summary>
    public required double Accuracy { get; init; }

    /// <summary>The Wilson interval of <see cref="Accuracy"/>.</summary>
    public required ConfidenceInterval Interval { get; init; }

    /// <summary>The fraction of the completions that are correct by the lenient measure. Null if the reward has none.</summary>
    public double? LenientAccuracy { get; init; }
}

/// <summary>The result of one prompt of an evaluation.</summary>
public sealed record EvaluationItem
{
    /// <summary>The id of the prompt.</summary>
    public required string Id { get; init; }

    /// <summary>The last message of the prompt. Two evaluations are comparable only if ids and questions agree.</summary>
    public required string Question { get; init; }

    /// <summary>The expected answer; null if the prompt has none.</summary>
    public string? Expected { get; init; }

    /// <summary>
    /// The value of the field <see cref="EvaluationOptions.DifficultyField"/>; null if the prompt does not have the field.
    /// </summary>
    public string? Difficulty { get; init; }

    /// <summary>The completion for the accuracy.</summary>
    public required EvaluatedCompletion Completion { get; init; }

    /// <summary>The completions for pass@k and maj@k; empty if there are none.</summary>
    public IReadOnlyList<EvaluatedCompletion> Samples { get; init; } = [];
}

/// <summary>A completion of an evaluation and its reward.</summary>
public sealed record EvaluatedCompletion
{
    /// <summary>The decoded text.</summary>
    public required string Text { get; init; }

    /// <summary>The length in tokens, including the end token.</summary>
    public required int Tokens { get; init; }

    /// <summary>The reason why the completion ended.</summary>
    public FinishReason FinishReason { get; init; }

    /// <summary>The value of the reward; null if the reward abstained.</summary>
    public double? Reward { get; init; }

    /// <summary>The label that the reward gave as the reason of its value (<see cref="Grpo.Reward.Verdict"/>).</summary>
    public string? Verdict { get; init; }

    /// <summary>True if the reward judged the completion correct; null if it did not judge.</summary>
    public bool? IsCorrect { get; init; }

    /// <summary>True if the completion is correct by the lenient measure; null if the reward has none.</summary>
    public bool? IsCorrectLeniently { get; init; }

    /// <summary>
    /// The answer that the reward judged, in its canonical form (<see cref="Grpo.Reward.Answer"/>); null if there is none.
    /// </summary>
    public string? Answer { get; init; }
}

using System.Text.Json.Serialization;

namespace Grpo.Evaluation;

/// <summary>The part of an evaluation that samples each prompt several times.</summary>
public sealed record SampledEvaluation
{
    /// <summary>Samples per prompt, n.</summary>
    public required int SamplesPerPrompt { get; init; }

    /// <summary>pass@k and maj@k, k rising; a k for which no prompt has enough judged samples is left out.</summary>
    public IReadOnlyList<SampledAccuracy> Accuracies { get; init; } = [];

    /// <summary>Mean reward of the samples that were scored; NaN when none was.</summary>
    public double MeanReward { get; init; }

    /// <summary>Mean length, tokens.</summary>
    public double MeanCompletionTokens { get; init; }

    /// <summary>How often each verdict was given.</summary>
    public IReadOnlyDictionary<string, int> Verdicts { get; init; } = new Dictionary<string, int>();

    /// <summary>The samples, in the order of the prompts. Not in the file.</summary>
    [JsonIgnore]
    public IReadOnlyList<RolloutGroup> Groups { get; init; } = [];

    /// <summary>Their rewards, one list per prompt. Not in the file.</summary>
    [JsonIgnore]
    public IReadOnlyList<IReadOnlyList<Reward>> Rewards { get; init; } = [];
}

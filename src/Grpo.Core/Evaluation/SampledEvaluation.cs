using System.Text.Json.Serialization;

namespace Grpo.Evaluation;

/// <summary>The result of the part of an evaluation that samples each prompt several times.</summary>
public sealed record SampledEvaluation
{
    /// <summary>The number of samples per prompt, n.</summary>
    public required int SamplesPerPrompt { get; init; }

    /// <summary>pass@k and maj@k for each k, in ascending order. A k for which no prompt has enough judged samples is left out.</summary>
    public IReadOnlyList<SampledAccuracy> Accuracies { get; init; } = [];

    /// <summary>The mean reward of the samples that have one; NaN if none has.</summary>
    public double MeanReward { get; init; }

    /// <summary>The mean length of a sample in tokens.</summary>
    public double MeanCompletionTokens { get; init; }

    /// <summary>The number of samples per verdict.</summary>
    public IReadOnlyDictionary<string, int> Verdicts { get; init; } = new Dictionary<string, int>();

    /// <summary>The samples, in the order of the prompts. Not written to the evaluation file.</summary>
    [JsonIgnore]
    public IReadOnlyList<RolloutGroup> Groups { get; init; } = [];

    /// <summary>The rewards of the samples, one list per prompt. Not written to the evaluation file.</summary>
    [JsonIgnore]
    public IReadOnlyList<IReadOnlyList<Reward>> Rewards { get; init; } = [];
}

/// <summary>The accuracy with k samples per prompt: one row of pass@k and maj@k.</summary>
public sealed record SampledAccuracy
{
    /// <summary>The number of samples per prompt, k.</summary>
    public required int K { get; init; }

    /// <summary>The number of prompts with at least k judged samples. The means are taken over these.</summary>
    public required int Count { get; init; }

    /// <summary>
    /// pass@k: the probability that at least one of k samples is correct, as an unbiased estimate averaged over the prompts (Chen et al.,
    /// arXiv:2107.03374, eq. 1).
    /// </summary>
    public required double Pass { get; init; }

    /// <summary>
    /// The Wilson interval of <see cref="Pass"/>, with one trial per prompt because samples of one prompt are not independent. If k is less
    /// than the number of samples, the interval is too wide rather than too narrow.
    /// </summary>
    public required ConfidenceInterval PassInterval { get; init; }

    /// <summary>
    /// maj@k: the fraction of prompts for which the majority vote of the first k judged samples is correct (Wang et al., arXiv:2203.11171).
    /// On ties, the earliest answer wins. A prompt without any answer counts as wrong. Null if a correct sample has no
    /// <see cref="Reward.Answer"/>, so that votes cannot be counted.
    /// </summary>
    public double? Majority { get; init; }

    /// <summary>The Wilson interval of <see cref="Majority"/>; null if that is null.</summary>
    public ConfidenceInterval? MajorityInterval { get; init; }
}

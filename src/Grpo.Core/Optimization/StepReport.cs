namespace Grpo;

/// <summary>What one step did: managed data only, safe to keep.</summary>
public sealed record StepReport
{
    /// <summary>The step's number, from 1.</summary>
    public required long Step { get; init; }

    /// <summary>Mean of the rewards that were given; NaN when every completion was abstained on.</summary>
    public required double MeanReward { get; init; }

    /// <summary>Mean over the groups of each group's standard deviation (G − 1).</summary>
    public required double RewardDeviation { get; init; }

    /// <summary>Fraction of completions judged correct; null when the reward does not judge that.</summary>
    public double? Accuracy { get; init; }

    /// <summary>Fraction of groups whose advantages are all 0 (equal rewards, or fewer than two scores): they teach nothing.</summary>
    public required double ZeroDeviationFraction { get; init; }

    /// <summary>
    /// Fraction of groups that teach nothing because every scored completion is correct; null when the reward does not judge that.
    /// </summary>
    public double? AllRightFraction { get; init; }

    /// <summary>
    /// Fraction of groups that teach nothing because every scored completion is wrong; null when the reward does not judge that.
    /// </summary>
    public double? AllWrongFraction { get; init; }

    /// <summary>Rollout rounds of the step: 1 without dynamic sampling.</summary>
    public int SamplingRounds { get; init; } = 1;

    /// <summary>Groups that were sampled and replaced because they teach nothing.</summary>
    public int ReplacedGroups { get; init; }

    /// <summary>
    /// How often a micro-batch did not fit into memory in this step and smaller ones took its place. Loss and gradient do not depend on it.
    /// </summary>
    public int MicroBatchSplits { get; init; }

    /// <summary>
    /// Tokens per micro-batch, at most, from the first one on that did not fit: what <see cref="GrpoOptions.MaxTokensPerMicroBatch"/> could
    /// be set to. Null while the configured limits have been enough.
    /// </summary>
    public int? MicroBatchTokens { get; init; }

    /// <summary>Completions that no reward was given for.</summary>
    public required int Abstained { get; init; }

    /// <summary>Rewards that failed and were counted as abstentions, as configured.</summary>
    public required int RewardErrors { get; init; }

    /// <summary>Mean completion length, tokens.</summary>
    public required double MeanCompletionTokens { get; init; }

    /// <summary>Fraction of completions cut at the length limit.</summary>
    public required double TruncatedFraction { get; init; }

    /// <summary>Mean entropy of the sampled distributions, nats, over tokens; null when the sampler does not record it.</summary>
    public double? Entropy { get; init; }

    /// <summary>Completion tokens sampled in this step.</summary>
    public required long CompletionTokens { get; init; }

    /// <summary>Mean of each part of a composite reward, by name; abstentions excluded.</summary>
    public required IReadOnlyDictionary<string, double> RewardComponents { get; init; }

    /// <summary>How often each verdict was given.</summary>
    public required IReadOnlyDictionary<string, int> Verdicts { get; init; }

    /// <summary>One report per optimizer step; empty when nothing could be learned and the weights were left alone.</summary>
    public required IReadOnlyList<UpdateReport> Updates { get; init; }

    /// <summary>All rollouts with rewards and advantages, those that were replaced included: their advantages are 0.</summary>
    public required IReadOnlyList<ScoredGroup> Groups { get; init; }

    /// <summary>Time spent sampling.</summary>
    public TimeSpan RolloutTime { get; init; }

    /// <summary>Time spent scoring.</summary>
    public TimeSpan ScoringTime { get; init; }

    /// <summary>Time spent on log-probs, backward passes and AdamW.</summary>
    public TimeSpan UpdateTime { get; init; }

    /// <summary>Time of the whole step; evaluation and checkpoint are not part of it.</summary>
    public TimeSpan Duration => RolloutTime + ScoringTime + UpdateTime;

    /// <summary>Whether the reference model was moved toward the policy after this step.</summary>
    public bool ReferenceMoved { get; init; }
}

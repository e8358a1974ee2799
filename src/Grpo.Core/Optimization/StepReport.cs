using Grpo.Losses;
using Grpo.Optimization;

namespace Grpo;

/// <summary>The result of one training step. It holds managed data only, so it can be kept after the step.</summary>
public sealed record StepReport
{
    /// <summary>The number of the step, from 1.</summary>
    public required long Step { get; init; }

    /// <summary>The mean of all rewards of the step; NaN if the reward function abstained on every completion.</summary>
    public required double MeanReward { get; init; }

    /// <summary>The mean over the groups of each group's standard deviation of rewards (divisor G − 1).</summary>
    public required double RewardStdDev { get; init; }

    /// <summary>The fraction of completions that were judged correct; null if the reward does not judge correctness.</summary>
    public double? Accuracy { get; init; }

    /// <summary>
    /// The fraction of groups whose advantages are all 0, because all rewards are equal or fewer than two completions have one. These
    /// groups teach nothing.
    /// </summary>
    public required double ZeroStdDevFraction { get; init; }

    /// <summary>
    /// The fraction of groups that teach nothing because every scored completion is correct; null if the reward does not judge correctness.
    /// </summary>
    public double? AllRightFraction { get; init; }

    /// <summary>
    /// The fraction of groups that teach nothing because every scored completion is wrong; null if the reward does not judge correctness.
    /// </summary>
    public double? AllWrongFraction { get; init; }

    /// <summary>The number of rollout rounds in the step; 1 without dynamic sampling.</summary>
    public int SamplingRounds { get; init; } = 1;

    /// <summary>The number of groups that were sampled and then replaced because they teach nothing.</summary>
    public int ReplacedGroups { get; init; }

    /// <summary>
    /// The number of times in this step that a micro-batch did not fit into memory and was replaced by smaller ones. Loss and gradient
    /// do not depend on it.
    /// </summary>
    public int MicroBatchSplits { get; init; }

    /// <summary>
    /// The largest number of tokens per micro-batch since the first one that did not fit into memory. It is a good value for
    /// <see cref="GrpoOptions.MaxTokensPerMicroBatch"/>. Null while the configured limits are enough.
    /// </summary>
    public int? MicroBatchTokens { get; init; }

    /// <summary>The number of completions without a reward, because the reward function abstained.</summary>
    public required int Abstained { get; init; }

    /// <summary>The number of reward calls that failed and were counted as abstentions (<see cref="RewardOptions.OnError"/>).</summary>
    public required int RewardErrors { get; init; }

    /// <summary>The mean length of a completion in tokens.</summary>
    public required double MeanCompletionTokens { get; init; }

    /// <summary>The fraction of completions that were cut at the length limit.</summary>
    public required double TruncatedFraction { get; init; }

    /// <summary>
    /// The mean entropy, over all sampled tokens, of the distributions that they were sampled from, in nats; null if the sampler does not
    /// record it.
    /// </summary>
    public double? Entropy { get; init; }

    /// <summary>The number of completion tokens that were sampled in this step.</summary>
    public required long CompletionTokens { get; init; }

    /// <summary>The mean of each part of a composite reward, by name. Abstentions are excluded.</summary>
    public required IReadOnlyDictionary<string, double> RewardComponents { get; init; }

    /// <summary>The number of completions with each verdict, by the verdict's text.</summary>
    public required IReadOnlyDictionary<string, int> Verdicts { get; init; }

    /// <summary>One report per optimizer step; empty if nothing could be learned and the weights were left unchanged.</summary>
    public required IReadOnlyList<UpdateReport> Updates { get; init; }

    /// <summary>All rollouts with rewards and advantages, including replaced groups, whose advantages are 0.</summary>
    public required IReadOnlyList<ScoredGroup> Groups { get; init; }

    /// <summary>The time spent on sampling.</summary>
    public TimeSpan RolloutTime { get; init; }

    /// <summary>The time spent on rewards and advantages.</summary>
    public TimeSpan ScoringTime { get; init; }

    /// <summary>The time spent on log-probs, backward passes and AdamW.</summary>
    public TimeSpan UpdateTime { get; init; }

    /// <summary>The time of the whole step, excluding evaluation and checkpoint.</summary>
    public TimeSpan Duration => RolloutTime + ScoringTime + UpdateTime;

    /// <summary>True if the reference model was moved toward the policy after this step.</summary>
    public bool ReferenceMoved { get; init; }
}

/// <summary>The result of one optimizer step. Means are over the completion tokens of the whole step.</summary>
public sealed record UpdateReport
{
    /// <summary>The loss of the optimizer step, summed over its micro-batches.</summary>
    public required double Loss { get; init; }

    /// <summary>
    /// The mean k3 estimate of KL(π ‖ π_ref) in nats. With <see cref="KlEstimator.K1InReward"/> it is the mean k1 of the rollout.
    /// Null without a KL term.
    /// </summary>
    public double? Kl { get; init; }

    /// <summary>The coefficient β of the KL term in this update; null without a KL term.</summary>
    public double? KlCoefficient { get; init; }

    /// <summary>
    /// The fractions of tokens that left the objective's trust region; null if the objective has none. Completions without an advantage
    /// are not part of the forward pass and do not count.
    /// </summary>
    public ClipMetrics? Clip { get; init; }

    /// <summary>
    /// The difference between the sampler's log-probs and the policy's on equal tokens. Null if the sampler recorded none, and after the
    /// first update of a rollout, because the policy has then changed.
    /// </summary>
    public LogProbDifference? SamplerDifference { get; init; }

    /// <summary>The L2 norm of the gradient over all parameters, before clipping.</summary>
    public required double GradientNorm { get; init; }

    /// <summary>The learning rate of this optimizer step.</summary>
    public required double LearningRate { get; init; }

    /// <summary>The reason why the update was skipped (<see cref="GrpoOptions.GradientSpikeFactor"/>); null if it was applied.</summary>
    public string? SkipReason { get; init; }

    /// <summary>
    /// The warning that the trained adapter has hardly changed the model, with the learning rate and a better one. It is in the report of
    /// the optimizer step that finds it, at most once per run; null otherwise.
    /// </summary>
    public string? AdapterWarning { get; init; }
}

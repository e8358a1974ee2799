namespace Grpo.Callbacks;

/// <summary>
/// The record of a training step: everything that its numbers depend on, and a hash of the weights. Managed data only, so it is safe to
/// keep, but large.
/// </summary>
public sealed record FlightStep
{
    /// <summary>The number of the step, from 1.</summary>
    public required long Step { get; init; }

    /// <summary>The seed of the run. The random numbers of the rollout depend on it, the step, the prompt id and the sample.</summary>
    public required ulong Seed { get; init; }

    /// <summary>The hash of the policy's weights before the step (<see cref="Modeling.WeightHash"/>).</summary>
    public required string WeightHash { get; init; }

    /// <summary>
    /// The number of groups in each round. A round is one call of the sampler. Without dynamic sampling, a step has one round.
    /// </summary>
    public required IReadOnlyList<int> Rounds { get; init; }

    /// <summary>All groups in the order of sampling, including those that were replaced.</summary>
    public required IReadOnlyList<FlightGroup> Groups { get; init; }

    /// <summary>The weights of the reward's parts by name. Null if the reward is not a weighted sum.</summary>
    public IReadOnlyDictionary<string, double>? RewardWeights { get; init; }

    /// <summary>
    /// The maximum number of tokens per micro-batch after the step (<see cref="StepReport.MicroBatchTokens"/>). It is set if a lack of
    /// memory imposed a lower limit than the options; otherwise null.
    /// </summary>
    public int? MicroBatchTokens { get; init; }

    /// <summary>The optimizer steps; empty if there was nothing to learn and the weights did not change.</summary>
    public required IReadOnlyList<FlightUpdate> Updates { get; init; }
}

/// <summary>The record of a group of completions. It has the token ids of the prompt but not its text.</summary>
/// <param name="PromptId">The id of the prompt. The random numbers of the completions depend on it.</param>
/// <param name="PromptTokenIds">The token ids of the prompt as the policy received them, including special tokens.</param>
/// <param name="Completions">The completions, in the order of their samples.</param>
public sealed record FlightGroup(string PromptId, IReadOnlyList<int> PromptTokenIds, IReadOnlyList<FlightCompletion> Completions);

/// <summary>The record of a completion: its tokens, reward and advantage, and its log-probs in the update.</summary>
public sealed record FlightCompletion
{
    /// <summary>The sampled token ids, including the end token if there is one.</summary>
    public required IReadOnlyList<int> TokenIds { get; init; }

    /// <summary>The reason why the completion ended.</summary>
    public required FinishReason FinishReason { get; init; }

    /// <summary>The log-probability of each token as recorded by the sampler, in nats; null if it recorded none.</summary>
    public IReadOnlyList<float>? SamplerLogProbs { get; init; }

    /// <summary>The mean entropy of the distributions that the tokens were sampled from, in nats. Null if it was not recorded.</summary>
    public double? MeanEntropy { get; init; }

    /// <summary>The reward with its components and verdict, but without <see cref="Reward.Answer"/>, which affects no number.</summary>
    public required Reward Reward { get; init; }

    /// <summary>The advantage, which weights the completion in the loss.</summary>
    public required double Advantage { get; init; }

    /// <summary>The part that the completion had in the updates of its step.</summary>
    public required FlightPart Part { get; init; }

    /// <summary>
    /// The index of the completion's micro-batch in the first update, from 0. Null unless <see cref="FlightPart.Trained"/>. See
    /// <see cref="ReplayReport.OtherMicroBatches"/>.
    /// </summary>
    public int? MicroBatch { get; init; }

    /// <summary>
    /// The log-probability of each token in the first update, in nats. Later updates of the step use these as the old log-probs. Null
    /// unless <see cref="FlightPart.Trained"/>.
    /// </summary>
    public IReadOnlyList<float>? LogProbs { get; init; }

    /// <summary>
    /// The log-probability of each token under the reference model, in nats. Null unless the completion was trained with a KL
    /// term in the loss.
    /// </summary>
    public IReadOnlyList<float>? ReferenceLogProbs { get; init; }
}

/// <summary>The part that a completion has in the updates of its step.</summary>
public enum FlightPart
{
    /// <summary>The completion was run through the policy and has a gradient. Its mask is 1 on each of its tokens.</summary>
    Trained,

    /// <summary>
    /// The completion has no gradient, because its advantage is 0 or it has no tokens. It counts in the denominators of the
    /// loss but was not run.
    /// </summary>
    Counted,

    /// <summary>The completion was truncated and is excluded from the loss (<see cref="GrpoOptions.MaskTruncatedCompletions"/>).</summary>
    LeftOut,

    /// <summary>
    /// The group of the completion had no signal and was replaced by another (<see cref="GrpoOptions.MaxSamplingRounds"/>).
    /// </summary>
    Replaced,
}

/// <summary>The record of an optimizer step, with numbers of its <see cref="UpdateReport"/>.</summary>
public sealed record FlightUpdate
{
    /// <summary>The loss (<see cref="UpdateReport.Loss"/>).</summary>
    public required double Loss { get; init; }

    /// <summary>The KL divergence from the reference model (<see cref="UpdateReport.Kl"/>); null without a KL term.</summary>
    public double? Kl { get; init; }

    /// <summary>The coefficient of the KL term (<see cref="UpdateReport.KlCoefficient"/>); null without a KL term.</summary>
    public double? KlCoefficient { get; init; }

    /// <summary>The norm of the gradient before clipping (<see cref="UpdateReport.GradientNorm"/>).</summary>
    public required double GradientNorm { get; init; }

    /// <summary>The learning rate (<see cref="UpdateReport.LearningRate"/>).</summary>
    public required double LearningRate { get; init; }

    /// <summary>The reason why the update was skipped (<see cref="UpdateReport.SkipReason"/>); null if it was applied.</summary>
    public string? SkipReason { get; init; }

    /// <summary>
    /// The entropy in nats from which tokens were trained on; null if all tokens were (<see cref="GrpoOptions.TopEntropyFraction"/>).
    /// </summary>
    public double? EntropyThreshold { get; init; }
}

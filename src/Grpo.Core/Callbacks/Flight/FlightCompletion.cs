using Grpo.Optimization;

namespace Grpo.Callbacks;

/// <summary>A completion in a record: what was sampled, what it was worth, and what the update saw of it.</summary>
public sealed record FlightCompletion
{
    /// <summary>The sampled ids, the end token included when there is one.</summary>
    public required IReadOnlyList<int> TokenIds { get; init; }

    /// <summary>Why it ended.</summary>
    public required FinishReason FinishReason { get; init; }

    /// <summary>log π as the sampler saw it, nats, one per token; null when it recorded none.</summary>
    public IReadOnlyList<float>? SamplerLogProbs { get; init; }

    /// <summary>Mean entropy of the distributions that the tokens were drawn from, nats; null when it was not recorded.</summary>
    public double? MeanEntropy { get; init; }

    /// <summary>The reward as it was given, components, weights and verdict included; without <see cref="Reward.Answer"/>, which no number depends on.</summary>
    public required Reward Reward { get; init; }

    /// <summary>What the loss was weighted with.</summary>
    public required double Advantage { get; init; }

    /// <summary>What became of it.</summary>
    public required FlightPart Part { get; init; }

    /// <summary>The micro-batch that it was run in, from 0, in the first update; null unless <see cref="FlightPart.Trained"/>. See <see cref="ReplayReport.OtherMicroBatches"/>.</summary>
    public int? MicroBatch { get; init; }

    /// <summary>
    /// log π of the first update, nats, one per token: the old log-probs of all later updates of the step. Null unless
    /// <see cref="FlightPart.Trained"/>.
    /// </summary>
    public IReadOnlyList<float>? LogProbs { get; init; }

    /// <summary>log π_ref, nats, one per token; null unless trained with a KL term in the loss.</summary>
    public IReadOnlyList<float>? ReferenceLogProbs { get; init; }
}

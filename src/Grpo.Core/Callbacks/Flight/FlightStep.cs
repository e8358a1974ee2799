using Grpo.Modeling;

namespace Grpo.Callbacks;

/// <summary>Everything that a step's numbers came from, but the weights: of those there is a hash. Managed data only, safe to keep, and large.</summary>
public sealed record FlightStep
{
    /// <summary>The step's number, from 1.</summary>
    public required long Step { get; init; }

    /// <summary>Seed of the run. With the number of steps done before, prompt id and sample it gives every random number of the rollout.</summary>
    public required ulong Seed { get; init; }

    /// <summary><see cref="WeightHash"/> of the policy before the step.</summary>
    public required string WeightHash { get; init; }

    /// <summary>Groups per rollout round; one number without dynamic sampling.</summary>
    public required IReadOnlyList<int> Rounds { get; init; }

    /// <summary>All groups in the order in which they were sampled, those that were replaced included.</summary>
    public required IReadOnlyList<FlightGroup> Groups { get; init; }

    /// <summary>
    /// Tokens per micro-batch, at most, after the step: <see cref="StepReport.MicroBatchTokens"/>, what memory had left of the limits in the
    /// options. Null where those had been enough.
    /// </summary>
    public int? MicroBatchTokens { get; init; }

    /// <summary>The optimizer steps; empty when nothing could be learned and the weights were left alone.</summary>
    public required IReadOnlyList<FlightUpdate> Updates { get; init; }
}

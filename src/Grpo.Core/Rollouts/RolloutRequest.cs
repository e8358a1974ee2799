namespace Grpo;

/// <summary>What to sample: <see cref="GroupSize"/> completions for each of <see cref="Prompts"/>.</summary>
public sealed record RolloutRequest
{
    /// <summary>The prompts, in the order in which the groups are returned.</summary>
    public required IReadOnlyList<Prompt> Prompts { get; init; }

    /// <summary>Completions per prompt, G.</summary>
    public required int GroupSize { get; init; }

    /// <summary>Temperature, filters and limits.</summary>
    public required SamplingOptions Sampling { get; init; }

    /// <summary>Seed of the run.</summary>
    public ulong Seed { get; init; }

    /// <summary>The training step. A completion is a function of (seed, step, prompt id, sample) and of nothing else in the batch.</summary>
    /// <remarks>A prompt that stands in <see cref="Prompts"/> again goes on counting its samples, so that its groups differ.</remarks>
    public long Step { get; init; }
}

namespace Grpo;

/// <summary>Samples the groups of completions that a step learns from.</summary>
/// <remarks>
/// The update takes the policy's log-probs for those of the sampling distribution. Completions must therefore come from the policy as it is
/// now, at the requested temperature. Completions of another model, or a selection from more completions, bias the gradient.
/// </remarks>
public interface IGroupSampler
{
    /// <summary>Samples <see cref="RolloutRequest.GroupSize"/> completions for each prompt.</summary>
    /// <param name="policy">The policy to sample from.</param>
    /// <param name="request">The prompts, the group size and the sampling options.</param>
    /// <param name="cancellationToken">A token that stops between two tokens with an <see cref="OperationCanceledException"/>.</param>
    /// <returns>One group per prompt, in the order of the prompts.</returns>
    ValueTask<IReadOnlyList<RolloutGroup>> SampleAsync(
        IPolicy policy, RolloutRequest request, CancellationToken cancellationToken = default);
}

/// <summary>A request to a sampler: <see cref="GroupSize"/> completions for each of <see cref="Prompts"/>.</summary>
public sealed record RolloutRequest
{
    /// <summary>The prompts, in the order in which the groups are returned.</summary>
    public required IReadOnlyList<Prompt> Prompts { get; init; }

    /// <summary>The number of completions per prompt, G.</summary>
    public required int GroupSize { get; init; }

    /// <summary>The temperature, filters and limits.</summary>
    public required SamplingOptions Sampling { get; init; }

    /// <summary>The seed of the run.</summary>
    public ulong Seed { get; init; }

    /// <summary>The training step. The random numbers of a completion depend only on (seed, step, prompt id, sample).</summary>
    /// <remarks>
    /// If a prompt occurs twice in <see cref="Prompts"/>, its second group continues the count of samples, so that the two differ.
    /// </remarks>
    public long Step { get; init; }
}

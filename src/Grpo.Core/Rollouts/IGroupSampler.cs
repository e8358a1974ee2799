namespace Grpo;

/// <summary>Samples the groups of completions that a step learns from.</summary>
/// <remarks>
/// The update takes the policy's own log-probs as those of the sampling distribution: completions must come from the policy as it is
/// now, at the requested temperature. Completions from elsewhere, or chosen among more, make the gradient biased.
/// </remarks>
public interface IGroupSampler
{
    /// <summary>Samples <see cref="RolloutRequest.GroupSize"/> completions for each prompt.</summary>
    /// <param name="policy">The policy to sample from.</param>
    /// <param name="request">The prompts, the group size and the sampling options.</param>
    /// <param name="cancellationToken">Stops between two tokens with an <see cref="OperationCanceledException"/>.</param>
    /// <returns>One group per prompt, in the order of the prompts.</returns>
    ValueTask<IReadOnlyList<RolloutGroup>> SampleAsync(IPolicy policy, RolloutRequest request, CancellationToken cancellationToken = default);
}

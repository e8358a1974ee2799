using Grpo.Tensors;

namespace Grpo.Rollouts;

/// <summary>Calls a sampler on the tensor thread and checks the groups that it returns.</summary>
/// <param name="sampler">The plug-in. Borrowed.</param>
internal sealed class CheckedSampler(IGroupSampler sampler) : IHasIdentity
{
    private readonly bool _samplesFromPolicy = sampler is ISamplesKnownTokens;
    private readonly PolicyVocabulary _vocabulary = new();

    /// <inheritdoc/>
    /// <value>The identity of the plug-in.</value>
    public PlugInIdentity Identity => PlugInIdentity.Of(sampler);

    /// <summary>Throws if the sampler can tell that it would refuse one of the prompts; does nothing if it cannot tell.</summary>
    /// <param name="prompts">The prompts.</param>
    /// <param name="sampling">The limits.</param>
    public void CheckPrompts(IReadOnlyList<Prompt> prompts, SamplingOptions sampling) =>
        (sampler as IPromptChecker)?.CheckPrompts(prompts, sampling);

    /// <summary>Samples the groups of a request.</summary>
    /// <param name="policy">The policy to sample from.</param>
    /// <param name="request">The prompts, the group size and the sampling options.</param>
    /// <param name="cancellationToken">Passed to the sampler.</param>
    /// <exception cref="InvalidOperationException">
    /// The sampler did not return what the request asks for. The message names the problem and the allowed values.
    /// </exception>
    public async Task<IReadOnlyList<RolloutGroup>> SampleAsync(IPolicy policy, RolloutRequest request, CancellationToken cancellationToken)
    {
        ValueTask<IReadOnlyList<RolloutGroup>> sampling = await TensorThread.RunAsync(
            () => sampler.SampleAsync(policy, request, cancellationToken)).ConfigureAwait(false);
        IReadOnlyList<RolloutGroup> groups = await sampling.ConfigureAwait(false);
        int? vocabulary = _samplesFromPolicy ? null : await _vocabulary.FindAsync(policy).ConfigureAwait(false);
        new RolloutCheck(policy.GetType().Name, vocabulary).RequireAnswer(sampler.GetType().Name, groups, request);
        return groups;
    }
}

/// <summary>
/// Marks the samplers of this library whose tokens are known to be in the policy's vocabulary, so that they need no check.
/// </summary>
internal interface ISamplesKnownTokens;

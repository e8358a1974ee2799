using Grpo.Tensors;

namespace Grpo.Rollouts;

/// <summary>The one way to ask a sampler: on a tensor thread, and with what it returns checked before anybody uses it.</summary>
/// <param name="sampler">The plug-in. Borrowed.</param>
internal sealed class CheckedSampler(IGroupSampler sampler) : IHasIdentity
{
    private readonly bool _samplesFromPolicy = sampler is ISamplesKnownTokens;
    private readonly PolicyVocabulary _vocabulary = new();

    /// <inheritdoc/>
    /// <value>That of the plug-in.</value>
    public PlugInIdentity Identity => PlugInIdentity.Of(sampler);

    /// <summary>Throws when the sampler can tell that it would refuse one of these prompts; does nothing when it cannot tell.</summary>
    /// <param name="prompts">The prompts.</param>
    /// <param name="sampling">The limits.</param>
    public void CheckPrompts(IReadOnlyList<Prompt> prompts, SamplingOptions sampling) => (sampler as IPromptChecker)?.CheckPrompts(prompts, sampling);

    /// <summary>Samples the groups of a request.</summary>
    /// <param name="policy">The policy to sample from.</param>
    /// <param name="request">The prompts, the group size and the sampling options.</param>
    /// <param name="cancellationToken">Passed to the sampler.</param>
    /// <exception cref="InvalidOperationException">The sampler returned something else than was asked for. The message says what and what is allowed.</exception>
    public async Task<IReadOnlyList<RolloutGroup>> SampleAsync(IPolicy policy, RolloutRequest request, CancellationToken cancellationToken)
    {
        ValueTask<IReadOnlyList<RolloutGroup>> sampling = await TensorThread.RunAsync(
            () => sampler.SampleAsync(policy, request, cancellationToken)).ConfigureAwait(false);
        IReadOnlyList<RolloutGroup> groups = await sampling.ConfigureAwait(false);
        int? vocabulary = _samplesFromPolicy ? null : await _vocabulary.OfAsync(policy).ConfigureAwait(false);
        new RolloutCheck(policy.GetType().Name, vocabulary).RequireAnswer(sampler.GetType().Name, groups, request);
        return groups;
    }
}

/// <summary>
/// Marks samplers of this library whose tokens are in the policy's vocabulary: sampled from its logits, or compared with it before.
/// </summary>
internal interface ISamplesKnownTokens;

namespace Grpo;

/// <summary>
/// Samples groups from the policy itself, in this process: each prompt is run once, then its group token by token with the key/value cache.
/// Sequences that are finished make room for those that wait (continuous batching), when the policy's sessions can do that.
/// </summary>
/// <param name="tokenizer">The policy's tokenizer.</param>
/// <param name="template">The policy's chat template.</param>
public sealed class PolicyGroupSampler(ITokenizer tokenizer, IChatTemplate template) : IGroupSampler
{
    private readonly PromptEncoder _encoder = new(tokenizer, template);

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">A prompt is too long, or the options are out of range.</exception>
    /// <exception cref="TrainingDivergedException">The logits are not finite.</exception>
    public ValueTask<IReadOnlyList<RolloutGroup>> SampleAsync(
        IPolicy policy, RolloutRequest request, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentNullException.ThrowIfNull(request);
        if (GrpoOptionsValidator.ValidateSampling(request.Sampling) is { Count: > 0 } problems)
        {
            throw new ArgumentException(string.Join(" ", problems), nameof(request));
        }

        ArgumentOutOfRangeException.ThrowIfLessThan(request.GroupSize, 1);
        // All prompts are encoded before the first is run: one that is too long must not cost the others' work.
        IReadOnlyList<int>[] promptIds = [.. request.Prompts.Select(prompt => _encoder.Encode(prompt, request.Sampling.MaxPromptTokens))];
        int[] firstSamples = FirstSamples(request);
        RolloutRow[][] groups = [.. request.Prompts.Select((prompt, i) => Enumerable.Range(firstSamples[i], request.GroupSize).Select(
            sample => new RolloutRow(promptIds[i], new CompletionBuilder(CounterRandom.Key(request.Seed, request.Step, prompt.Id, sample)))).ToArray())];

        if (groups.Length > 0)
        {
            int maxRows = MaxRows(request.Sampling, promptIds.Max(ids => ids.Count));
            new ContinuousDecoder(policy, tokenizer, request.Sampling).Run(groups, maxRows, cancellationToken);
        }

        return ValueTask.FromResult<IReadOnlyList<RolloutGroup>>([.. request.Prompts.Select((prompt, i) =>
            new RolloutGroup(prompt, promptIds[i], [.. groups[i].Select(row => row.Completion.Build(tokenizer))]))]);
    }

    // A prompt that comes twice in a step would get the same completions twice; its second group goes on counting instead.
    private static int[] FirstSamples(RolloutRequest request)
    {
        var seen = new Dictionary<string, int>(StringComparer.Ordinal);
        return [.. request.Prompts.Select(prompt =>
        {
            int first = seen.GetValueOrDefault(prompt.Id);
            seen[prompt.Id] = first + request.GroupSize;
            return first;
        })];
    }

    private static int MaxRows(SamplingOptions sampling, int longestPrompt)
    {
        long tokens = (long)longestPrompt + sampling.MaxCompletionTokens - 1; // the last one is never fed back
        if (sampling.MaxCachedTokens is not { } limit || limit / tokens >= sampling.MaxConcurrentSequences)
        {
            return sampling.MaxConcurrentSequences;
        }

        return limit >= tokens ? (int)(limit / tokens) : throw new ArgumentException(FormattableString.Invariant(
            $"The longest prompt has {longestPrompt} tokens and Sampling.MaxCompletionTokens is {sampling.MaxCompletionTokens}, so one sequence may need {tokens} tokens in the key/value cache, but Sampling.MaxCachedTokens is {limit}. Raise it, or shorten prompts or completions."),
            nameof(sampling));
    }
}

using System.Globalization;
using Grpo.IO;
using Grpo.Modeling;
using Grpo.Rollouts;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Grpo;

/// <summary>
/// The sampler that decodes with the policy itself, in this process. It computes each prompt once and then samples all its completions, the
/// group, token by token with a key/value cache.
/// </summary>
/// <param name="tokenizer">The tokenizer of the policy.</param>
/// <param name="template">
/// The chat template of the policy. A completion ends at the token with which the template closes a message, or at an end token of the
/// tokenizer.
/// </param>
/// <param name="logger">The logger, which gets a warning if fewer sequences fit into memory than the options allow. Null for none.</param>
/// <exception cref="ArgumentException">
/// No token ends a completion, or the template's <see cref="IEndOfTurnTemplate.EndOfTurn"/> does not encode to exactly one token.
/// </exception>
/// <remarks>
/// <para>
/// When a sequence ends, a waiting one takes its place (continuous batching)
/// if <see cref="IDecodingSession.CanAddPrompts"/> is true.</para>
/// <para>
/// If memory runs out, half as many sequences are decoded at a time. The number of cached tokens that fit also limits later requests.
/// Unfinished sequences restart with the same random numbers.</para>
/// <para>
/// Random numbers do not depend on the batch. In a batch of another size, rounding can still change the last bits of the log-probs, and in
/// rare cases a token.</para>
/// </remarks>
public sealed class PolicyGroupSampler(ITokenizer tokenizer, IChatTemplate template, ILogger<PolicyGroupSampler>? logger = null)
    : IGroupSampler, IPromptChecker, ISamplesKnownTokens, IHasIdentity
{
    private readonly PromptEncoder _encoder = new(tokenizer, template);
    private readonly ILogger _logger = logger ?? NullLogger<PolicyGroupSampler>.Instance;
    private long _tokensThatFit = long.MaxValue;

    /// <inheritdoc/>
    public PlugInIdentity Identity => new PlugInIdentity("policy sampler").WithPart("tokenizer", tokenizer).WithPart("template", template);

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">
    /// A prompt is empty or longer than <see cref="SamplingOptions.MaxPromptTokens"/>, a sequence does not fit into
    /// <see cref="SamplingOptions.MaxCachedTokens"/>, or the options are out of range.
    /// </exception>
    /// <exception cref="TrainingDivergedException">The logits are not finite.</exception>
    /// <exception cref="InvalidOperationException">
    /// Not even one sequence fits into the memory of the policy's device, or the tokenizer belongs to another model.
    /// </exception>
    public ValueTask<IReadOnlyList<RolloutGroup>> SampleAsync(
        IPolicy policy, RolloutRequest request, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentNullException.ThrowIfNull(request);
        if (request.Sampling.Validate() is { Count: > 0 } problems)
        {
            throw new ArgumentException(string.Join(" ", problems), nameof(request));
        }

        ArgumentOutOfRangeException.ThrowIfLessThan(request.GroupSize, 1);
        // All prompts are encoded before the first is run, so that a prompt that is too long fails before any work.
        IReadOnlyList<int>[] promptIds = [.. request.Prompts.Select(prompt => _encoder.Encode(prompt, request.Sampling.MaxPromptTokens))];
        RequireRows(policy, request.Prompts, promptIds);
        int[] firstSamples = FirstSamples(request);
        RolloutRow[][] groups = [.. request.Prompts.Select((prompt, i) => Enumerable.Range(firstSamples[i], request.GroupSize).Select(
            sample => new RolloutRow(promptIds[i], new CompletionBuilder(CounterRandom.Key(request.Seed, request.Step, prompt.Id, sample))))
            .ToArray())];

        if (groups.Length > 0)
        {
            Decode(policy, request.Sampling, groups, longestPrompt: promptIds.Max(ids => ids.Count), cancellationToken);
        }

        return ValueTask.FromResult<IReadOnlyList<RolloutGroup>>([.. request.Prompts.Select((prompt, i) =>
            new RolloutGroup(prompt, promptIds[i], Build(promptIds[i], groups[i])))]);
    }

    /// <inheritdoc/>
    /// <remarks>
    /// Renders and encodes every prompt once, which takes about a second for several thousand prompts. It also checks that the longest
    /// prompt with its completion fits into <see cref="SamplingOptions.MaxCachedTokens"/>.
    /// </remarks>
    public void CheckPrompts(IReadOnlyList<Prompt> prompts, SamplingOptions sampling)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        ArgumentNullException.ThrowIfNull(sampling);
        (string Id, int Tokens)[] lengths =
            [.. prompts.Select(prompt => (prompt.Id, _encoder.Encode(prompt).Count))];
        if (TokenCounts.FindProblem("prompts", lengths, nameof(sampling.MaxPromptTokens), sampling.MaxPromptTokens) is { } problem)
        {
            throw new ArgumentException(problem, nameof(prompts));
        }

        RequireRoom(lengths.Select(prompt => prompt.Tokens).DefaultIfEmpty().Max(), sampling);
    }

    private Completion[] Build(IReadOnlyList<int> promptIds, RolloutRow[] rows)
    {
        bool startsInside = ThinkBlocks.IsOpenAfter(tokenizer, promptIds);
        return [.. rows.Select(row => row.Completion.Build(tokenizer) with { StartsInThinkBlock = startsInside })];
    }

    // Without this check, an id beyond the policy's embedding ends in a native error that names neither the prompt nor the id.
    private void RequireRows(IPolicy policy, IReadOnlyList<Prompt> prompts, IReadOnlyList<int>[] promptIds)
    {
        int rows = (policy as IVocabularyPolicy)?.VocabularySize ?? int.MaxValue;
        for (int i = 0; i < promptIds.Length; i++)
        {
            if (promptIds[i].Max() is var largest && largest >= rows)
            {
                throw new InvalidOperationException(
                    $"{tokenizer.GetType().Name} encodes prompt '{TerminalText.EscapeLine(prompts[i].Id)}' with the id {largest}, but "
                    + $"{policy.GetType().Name} has the ids 0 to {rows - 1}. The tokenizer belongs to another model.");
            }
        }
    }

    // If a prompt occurs twice in a step, its second group continues the count of samples. Otherwise both groups would be equal.
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

    private void Decode(
        IPolicy policy, SamplingOptions sampling, RolloutRow[][] groups, int longestPrompt, CancellationToken cancellationToken)
    {
        long tokens = RequireRoom(longestPrompt, sampling);
        long room = Math.Min(sampling.MaxCachedTokens ?? long.MaxValue, Interlocked.Read(ref _tokensThatFit));
        int maxRows = (int)Math.Clamp(room / tokens, 1, sampling.MaxConcurrentSequences);
        var decoder = new ContinuousDecoder(policy, tokenizer.PadTokenId, _encoder.EndTokenIds, sampling);
        int fitted = decoder.Run(groups, maxRows, cancellationToken);
        if (decoder.RowsAtFirstFailure is { } failed)
        {
            Interlocked.Exchange(ref _tokensThatFit, fitted * tokens);
            _logger.TooManySequences(failed, tokens, fitted, fitted * tokens);
        }
    }

    // Returns the number of tokens that a sequence may need in the cache. Its last token is never fed back.
    private static long RequireRoom(int longestPrompt, SamplingOptions sampling)
    {
        long tokens = (long)longestPrompt + sampling.MaxCompletionTokens - 1;
        if (sampling.MaxCachedTokens < tokens)
        {
            string message = string.Create(
                CultureInfo.InvariantCulture,
                $"The longest prompt has {longestPrompt} tokens and Sampling.MaxCompletionTokens is {sampling.MaxCompletionTokens}, "
                + $"so one sequence may need {tokens} tokens in the key/value cache, "
                + $"but Sampling.MaxCachedTokens is {sampling.MaxCachedTokens}. Raise it, or shorten prompts or completions.");
            throw new ArgumentException(message, nameof(sampling));
        }

        return tokens;
    }
}

using Grpo.Modeling;

namespace Grpo.Optimization;

/// <summary>What fits into one micro-batch.</summary>
/// <param name="MaxSequences">Sequences, at most; 1 or more.</param>
/// <param name="MaxTokens">
/// Tokens, at most, padding included: prompts · longest prompt + sequences · longest completion. Null: no limit.
/// </param>
/// <param name="SharePrompts">
/// Whether the sequences of one prompt compute it once: they are kept together, and their prompt counts once.
/// </param>
public readonly record struct MicroBatchLimits(int MaxSequences, int? MaxTokens = null, bool SharePrompts = false)
{
    internal static MicroBatchLimits Of(GrpoOptions options, IPolicy policy) =>
        new(options.MicroBatchSize, options.MaxTokensPerMicroBatch, options.SharePrompts
            && policy is ISharedPromptPolicy { SharesPrompts: true });

    /// <summary>What these sequences count as one micro-batch, in the measure of <see cref="MaxTokens"/>.</summary>
    internal long Tokens(IReadOnlyCollection<TokenSequence> sequences)
    {
        long prompts = SharePrompts
            ? sequences.Select(sequence => sequence.PromptIds).Distinct(TokenIdsComparer.Instance).Count()
            : sequences.Count;
        return (prompts * sequences.Max(sequence => sequence.PromptIds.Count))
            + ((long)sequences.Count * sequences.Max(sequence => sequence.CompletionIds.Count));
    }
}

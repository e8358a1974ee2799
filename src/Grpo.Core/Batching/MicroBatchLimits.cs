namespace Grpo;

/// <summary>What fits into one micro-batch.</summary>
/// <param name="MaxSequences">Sequences, at most; 1 or more.</param>
/// <param name="MaxTokens">
/// Tokens, at most, padding included: prompts · longest prompt + sequences · longest completion. Null: no limit.
/// </param>
/// <param name="SharePrompts">Whether the sequences of one prompt compute it once: they are kept together, and their prompt counts once.</param>
public readonly record struct MicroBatchLimits(int MaxSequences, int? MaxTokens = null, bool SharePrompts = false)
{
    internal static MicroBatchLimits Of(GrpoOptions options, IPolicy policy) =>
        new(options.MicroBatchSize, options.MaxTokensPerMicroBatch, options.SharePrompts && policy.SharesPrompts);
}

namespace Grpo;

/// <summary>One sampled continuation of a prompt.</summary>
/// <param name="TokenIds">
/// The sampled token ids, including the end token if there is one. Training uses these ids; the text is never tokenized again.
/// </param>
/// <param name="Text">The decoded text without special tokens.</param>
/// <param name="FinishReason">The reason why the completion ended.</param>
public sealed record Completion(IReadOnlyList<int> TokenIds, string Text, FinishReason FinishReason)
{
    /// <summary>
    /// The log-probability of each sampled token, in nats, under the sampler's distribution at the sampling temperature. Null if it was not
    /// recorded.
    /// </summary>
    public IReadOnlyList<float>? LogProbs { get; init; }

    /// <summary>The mean entropy of the distributions that the tokens were sampled from, in nats. Null if it was not recorded.</summary>
    public double? MeanEntropy { get; init; }

    /// <summary>True if the prompt ends with <c>&lt;think&gt;</c>, so that the completion begins inside a think block.</summary>
    public bool StartsInThinkBlock { get; init; }

    /// <summary>
    /// The text outside of think blocks, in which rewards look for an answer. A block that is not closed runs to the end of the text.
    /// </summary>
    public string VisibleText => ThinkBlocks.Remove(Text, StartsInThinkBlock);

    /// <summary>Returns the part of a text that is outside of <c>&lt;think&gt;…&lt;/think&gt;</c>.</summary>
    /// <remarks>
    /// A block that is not closed runs to the end. An end without a start closes a block that began in the prompt, so nothing before it
    /// counts.
    /// </remarks>
    /// <param name="text">The text of a completion.</param>
    /// <returns>The text without think blocks, or the text itself if it has none.</returns>
    public static string RemoveThinkBlocks(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return ThinkBlocks.Remove(text, startsInside: false);
    }
}

/// <summary>The reason why a completion ended.</summary>
public enum FinishReason
{
    /// <summary>The policy sampled one of the end tokens, possibly exactly at the length limit.</summary>
    EndToken,

    /// <summary>The completion reached the length limit before an end token.</summary>
    Truncated,
}

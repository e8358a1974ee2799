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
}

/// <summary>The reason why a completion ended.</summary>
public enum FinishReason
{
    /// <summary>The policy sampled one of the end tokens, possibly exactly at the length limit.</summary>
    EndToken,

    /// <summary>The completion reached the length limit before an end token.</summary>
    Truncated,
}

namespace Grpo;

/// <summary>One sampled continuation of a prompt.</summary>
/// <param name="TokenIds">The sampled ids, the end token included when there is one. Never re-tokenised: training uses these ids.</param>
/// <param name="Text">The decoded text without special tokens.</param>
/// <param name="FinishReason">Why it ended.</param>
public sealed record Completion(IReadOnlyList<int> TokenIds, string Text, FinishReason FinishReason)
{
    /// <summary>log π of each sampled token as the sampler saw it, at the sampling temperature, nats; null when it was not recorded.</summary>
    public IReadOnlyList<float>? LogProbs { get; init; }

    /// <summary>Mean entropy of the distributions that the tokens were drawn from, nats; null when it was not recorded.</summary>
    public double? MeanEntropy { get; init; }
}

using Grpo.Optimization;

namespace Grpo.Callbacks;

/// <summary>A recorded completion against the same one sampled again.</summary>
public sealed record RegeneratedCompletion
{
    /// <summary>As it was.</summary>
    public required FlightCompletion Recorded { get; init; }

    /// <summary>As it came out, with its text.</summary>
    public required Completion Completion { get; init; }

    /// <summary>The hash of the weights as recorded before the step.</summary>
    public required string RecordedWeights { get; init; }

    /// <summary>That of the weights it was sampled from now.</summary>
    public required string Weights { get; init; }

    /// <summary>
    /// Whether its group was sampled alone, which is much less work; otherwise that came out different, and the whole round was sampled, in the
    /// same batches as then.
    /// </summary>
    public required bool Alone { get; init; }

    /// <summary>Index of the first token that differs, from 0: where one of the two ends earlier, its end. Null when they are equal.</summary>
    public int? FirstDifference => Difference(Recorded.TokenIds, Completion.TokenIds);

    /// <summary>
    /// The largest difference of the sampler's log-probs up to the first token that differs, nats; null when none was recorded. Above 0 with equal
    /// tokens where a batch of another shape rounds otherwise.
    /// </summary>
    public double? LogProbDifference => Recorded.SamplerLogProbs is { } then && Completion.LogProbs is { } now
        ? then.Zip(now).Take(FirstDifference ?? int.MaxValue).Select(pair => Distance.Of(pair.First, pair.Second)).DefaultIfEmpty().Max()
        : null;

    internal static int? Difference(IReadOnlyList<int> one, IReadOnlyList<int> other)
    {
        int common = Math.Min(one.Count, other.Count);
        for (int i = 0; i < common; i++)
        {
            if (one[i] != other[i])
            {
                return i;
            }
        }

        return one.Count == other.Count ? null : common;
    }
}

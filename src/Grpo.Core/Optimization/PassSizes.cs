using System.Numerics;
using Grpo.Planning;

namespace Grpo.Optimization;

/// <summary>The largest passes that options lead to, with every prompt and completion as long as they allow.</summary>
internal static class PassSizes
{
    /// <param name="options">Valid.</param>
    /// <param name="canShare">Whether the model can compute a prompt once for its group.</param>
    public static MemorySizes Of(GrpoOptions options, bool canShare)
    {
        bool shares = options.SharePrompts && canShare;
        (long prompts, long rows) = Rollout(options);
        long sequences = MicroBatchSequences(options, shares);
        return new MemorySizes
        {
            DecodedPrompts = prompts,
            DecodedSequences = rows,
            PromptLength = options.Sampling.MaxPromptTokens,
            CompletionLength = options.Sampling.MaxCompletionTokens,
            MicroBatchPrompts = Prompts(options, sequences),
            MicroBatchSequences = sequences,
            SharesPrompts = shares,
            HasOtherMicroBatches = sequences < Completions(options),
            WithReference = options.KlCoefficient != 0,
            Moments = options.OptimizerMoments,
            WithEntropies = options.NeedsEntropies,
        };
    }

    /// <summary>
    /// What a micro-batch of so many sequences counts, in the measure of <see cref="GrpoOptions.MaxTokensPerMicroBatch"/>.
    /// </summary>
    public static long MicroBatchTokens(GrpoOptions options, long sequences, bool shares) =>
        ((shares ? Prompts(options, sequences) : sequences) * options.Sampling.MaxPromptTokens)
            + (sequences * options.Sampling.MaxCompletionTokens);

    private static long Completions(GrpoOptions options) => (long)options.PromptsPerStep * options.GroupSize;

    // As the sampler and its decoder do it: whole groups, or a part of one where a group is too large.
    private static (long Prompts, long Rows) Rollout(GrpoOptions options)
    {
        SamplingOptions sampling = options.Sampling;
        long perSequence = (long)sampling.MaxPromptTokens + sampling.MaxCompletionTokens - 1;
        long rows = Math.Min(sampling.MaxConcurrentSequences, Math.Max(1, (sampling.MaxCachedTokens ?? long.MaxValue) / perSequence));
        long groups = Math.Min(options.PromptsPerStep, rows / options.GroupSize);
        return groups == 0 ? (1, rows) : (groups, groups * options.GroupSize);
    }

    private static long MicroBatchSequences(GrpoOptions options, bool shares)
    {
        long sequences = Math.Min(options.MicroBatchSize, Completions(options));
        while (sequences > 1 && MicroBatchTokens(options, sequences, shares) > (options.MaxTokensPerMicroBatch ?? long.MaxValue))
        {
            sequences--;
        }

        return sequences;
    }

    // The most prompts that a piece belongs to when the step is cut into pieces of so many sequences. Pieces begin at multiples of the
    // greatest common divisor within a group; the last of those crosses the most borders.
    private static long Prompts(GrpoOptions options, long sequences)
    {
        long latest = options.GroupSize - (long)BigInteger.GreatestCommonDivisor(sequences, options.GroupSize);
        return Math.Min(options.PromptsPerStep, ((latest + sequences - 1) / options.GroupSize) + 1);
    }
}

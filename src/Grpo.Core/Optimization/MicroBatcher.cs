using Grpo.Modeling;

namespace Grpo.Optimization;

/// <summary>Splits the sequences of a step into micro-batches of similar length, which need little padding.</summary>
internal static class MicroBatcher
{
    /// <summary>Splits sequences into micro-batches, the longest first, so that a lack of memory shows at once.</summary>
    /// <param name="sequences">The sequences. Sequences of equal length keep their order.</param>
    /// <param name="limits">The limits of a micro-batch. A sequence that alone exceeds them is a micro-batch of its own.</param>
    /// <returns>One array of indices into <paramref name="sequences"/> per micro-batch; each index occurs exactly once.</returns>
    /// <remarks>With shared prompts, the sequences of a prompt stay together, and the group with the longest sequence is first.</remarks>
    /// <exception cref="ArgumentOutOfRangeException">A limit is less than 1.</exception>
    public static IReadOnlyList<int[]> Split(IReadOnlyList<TokenSequence> sequences, MicroBatchLimits limits)
    {
        ArgumentNullException.ThrowIfNull(sequences);
        ArgumentOutOfRangeException.ThrowIfLessThan(limits.MaxSequences, 1, nameof(limits));
        ArgumentOutOfRangeException.ThrowIfLessThan(limits.MaxTokens ?? 1, 1, nameof(limits));
        var batches = new List<int[]>();
        var open = new OpenBatch(limits);
        foreach (int index in Ordered(sequences, limits.SharePrompts))
        {
            if (!open.HasRoomFor(sequences[index]))
            {
                batches.Add([.. open.Members]);
                open = new OpenBatch(limits);
            }

            open.Add(index, sequences[index]);
        }

        return open.Members.Count == 0 ? batches : [.. batches, [.. open.Members]];
    }

    private static IEnumerable<int> Ordered(IReadOnlyList<TokenSequence> sequences, bool byPrompt)
    {
        IEnumerable<int> longestFirst = Enumerable.Range(0, sequences.Count).OrderByDescending(i => sequences[i].Length);
        // GroupBy keeps the order in which groups first appear, which is the order of their longest sequences.
        return byPrompt
            ? longestFirst.GroupBy(i => sequences[i].PromptIds, TokenIdsComparer.Instance).SelectMany(group => group)
            : longestFirst;
    }

    private sealed class OpenBatch(MicroBatchLimits limits)
    {
        private readonly HashSet<IReadOnlyList<int>> _prompts = new(TokenIdsComparer.Instance);
        private int _promptLength;
        private int _completionLength;

        public List<int> Members { get; } = [];

        public bool HasRoomFor(TokenSequence sequence)
        {
            if (Members.Count == 0)
            {
                return true;
            }

            long rows = Members.Count + 1;
            long prompts = !limits.SharePrompts ? rows : _prompts.Contains(sequence.PromptIds) ? _prompts.Count : _prompts.Count + 1;
            long tokens = (prompts * Math.Max(_promptLength, sequence.PromptIds.Count))
                + (rows * Math.Max(_completionLength, sequence.CompletionIds.Count));
            return rows <= limits.MaxSequences && tokens <= (limits.MaxTokens ?? long.MaxValue);
        }

        public void Add(int index, TokenSequence sequence)
        {
            Members.Add(index);
            _prompts.Add(sequence.PromptIds);
            _promptLength = Math.Max(_promptLength, sequence.PromptIds.Count);
            _completionLength = Math.Max(_completionLength, sequence.CompletionIds.Count);
        }
    }
}

/// <summary>The limits of a micro-batch.</summary>
/// <param name="MaxSequences">The largest number of sequences. At least 1.</param>
/// <param name="MaxTokens">
/// The largest number of tokens, including padding: prompts · longest prompt + sequences · longest completion. Null for no limit.
/// </param>
/// <param name="SharePrompts">
/// True if a prompt is computed once for its sequences. They stay together, and the prompt counts once.
/// </param>
internal readonly record struct MicroBatchLimits(int MaxSequences, int? MaxTokens = null, bool SharePrompts = false)
{
    /// <summary>Creates the limits from the options of a run and the abilities of its policy.</summary>
    public static MicroBatchLimits From(GrpoOptions options, IPolicy policy) =>
        new(options.MicroBatchSize, options.MaxTokensPerMicroBatch, options.SharePrompts
            && policy is ISharedPromptPolicy { SharesPrompts: true });

    /// <summary>Computes the size of a micro-batch in tokens, as <see cref="MaxTokens"/> counts them.</summary>
    public long Tokens(IReadOnlyCollection<TokenSequence> sequences)
    {
        long prompts = SharePrompts
            ? sequences.Select(sequence => sequence.PromptIds).Distinct(TokenIdsComparer.Instance).Count()
            : sequences.Count;
        return (prompts * sequences.Max(sequence => sequence.PromptIds.Count))
            + ((long)sequences.Count * sequences.Max(sequence => sequence.CompletionIds.Count));
    }
}

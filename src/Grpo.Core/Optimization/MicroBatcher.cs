using Grpo.Modeling;

namespace Grpo.Optimization;

/// <summary>Splits the sequences of a step into micro-batches of similar length, so that little is spent on padding.</summary>
public static class MicroBatcher
{
    /// <summary>
    /// Forms the micro-batches: longest first, so that a lack of memory shows at once. Where prompts are shared, the sequences of one
    /// prompt stay next to each other, the group with the longest sequence first. Ties keep their order.
    /// </summary>
    /// <param name="sequences">The sequences.</param>
    /// <param name="limits">What fits into one micro-batch. A sequence that alone exceeds the budget is a micro-batch of its own.</param>
    /// <returns>Indices into <paramref name="sequences"/>, each exactly once.</returns>
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
        // GroupBy keeps the order of first appearance: that of each group's longest sequence.
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

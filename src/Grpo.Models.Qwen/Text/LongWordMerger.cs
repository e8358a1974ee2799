namespace Grpo.Models.Qwen.Text;

/// <summary>Byte-pair merging of one long word in O(n log n), with a linked list of symbols and a heap of candidate pairs.</summary>
/// <remarks>
/// The merge loop of Microsoft.ML.Tokenizers gives the same ids, but its cost grows with the square of a word's length: a megabyte of one
/// letter takes more than a minute. So it merges ordinary words, and this class merges the long ones.
/// </remarks>
internal sealed class LongWordMerger(MergeTable merges, int[] idOfByte)
{
    /// <summary>Appends the ids of a word's UTF-8 bytes.</summary>
    public void Encode(ReadOnlySpan<byte> word, List<int> ids)
    {
        var symbols = new Symbol[word.Length];
        for (int i = 0; i < symbols.Length; i++)
        {
            symbols[i] = new Symbol(idOfByte[word[i]], i - 1, i + 1 < symbols.Length ? i + 1 : -1);
        }

        // Lowest rank first, then leftmost: the order in which the merges were learned. One number holds both, the rank in the high bits.
        var candidates = new PriorityQueue<int, long>();
        for (int i = 0; i + 1 < symbols.Length; i++)
        {
            Offer(candidates, symbols, i);
        }

        while (candidates.TryDequeue(out int position, out long priority))
        {
            ref Symbol left = ref symbols[position];
            if (left.Id < 0 || left.Next < 0
                || !merges.TryGet(left.Id, symbols[left.Next].Id, out Merge merge) || merge.Rank != (int)(priority >> 32))
            {
                continue; // one side has been merged with another symbol
            }

            ref Symbol right = ref symbols[left.Next];
            left.Id = merge.MergedId;
            left.Next = right.Next;
            right.Id = -1;
            if (left.Next >= 0)
            {
                symbols[left.Next].Previous = position;
                Offer(candidates, symbols, position);
            }

            if (left.Previous >= 0)
            {
                Offer(candidates, symbols, left.Previous);
            }
        }

        for (int i = symbols.Length == 0 ? -1 : 0; i >= 0; i = symbols[i].Next)
        {
            ids.Add(symbols[i].Id);
        }
    }

    private void Offer(PriorityQueue<int, long> candidates, Symbol[] symbols, int left)
    {
        if (merges.TryGet(symbols[left].Id, symbols[symbols[left].Next].Id, out Merge merge))
        {
            candidates.Enqueue(left, ((long)merge.Rank << 32) | (uint)left);
        }
    }

    private struct Symbol(int id, int previous, int next)
    {
        public int Id = id;             // -1 after merging into its left neighbor
        public int Previous = previous; // -1 at the start
        public int Next = next;         // -1 at the end
    }
}

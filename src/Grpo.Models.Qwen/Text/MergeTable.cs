namespace Grpo.Models.Qwen.Text;

/// <summary>The result of merging a pair of tokens, and the rank at which the merge was learned.</summary>
internal readonly record struct Merge(int Rank, int MergedId);

/// <summary>The merges of a byte-pair vocabulary, by the ids of their two sides.</summary>
internal sealed class MergeTable(int capacity)
{
    private readonly Dictionary<long, Merge> _merges = new(capacity, new PairComparer());

    public bool TryAdd(int left, int right, Merge merge) => _merges.TryAdd(Key(left, right), merge);

    public bool TryGet(int left, int right, out Merge merge) => _merges.TryGetValue(Key(left, right), out merge);

    private static long Key(int left, int right) => ((long)left << 32) | (uint)right;

    // A long's own hash is the exclusive or of its halves. A file could choose ids with which all pairs collide, and loading would take
    // hours. After multiplication by a number that the file cannot know, pairs collide only by chance.
    private sealed class PairComparer : IEqualityComparer<long>
    {
        private readonly long _factor = Random.Shared.NextInt64() | 1;

        public bool Equals(long x, long y) => x == y;

        public int GetHashCode(long pair) => (int)((pair * _factor) >> 32);
    }
}

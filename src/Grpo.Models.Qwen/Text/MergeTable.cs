namespace Grpo.Models.Qwen;

/// <summary>What a pair of tokens becomes, and how early its merge was learned.</summary>
internal readonly record struct Merge(int Rank, int MergedId);

/// <summary>The merges of a byte-pair vocabulary by the ids of their two sides.</summary>
internal sealed class MergeTable(int capacity)
{
    private readonly Dictionary<long, Merge> _merges = new(capacity);

    public bool TryAdd(int left, int right, Merge merge) => _merges.TryAdd(Key(left, right), merge);

    public bool TryGet(int left, int right, out Merge merge) => _merges.TryGetValue(Key(left, right), out merge);

    private static long Key(int left, int right) => ((long)left << 32) | (uint)right;
}

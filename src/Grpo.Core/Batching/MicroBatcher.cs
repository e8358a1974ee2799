namespace Grpo;

/// <summary>Splits the sequences of a step into micro-batches of similar length, so that little is spent on padding.</summary>
public static class MicroBatcher
{
    /// <summary>Forms the micro-batches: longest first, so that a lack of memory shows at once; ties keep their order.</summary>
    /// <param name="lengths">Tokens of each sequence, prompt and completion together.</param>
    /// <param name="size">Sequences per micro-batch, at most.</param>
    /// <returns>Indices into <paramref name="lengths"/>, each exactly once.</returns>
    public static IReadOnlyList<int[]> Split(IReadOnlyList<int> lengths, int size)
    {
        ArgumentNullException.ThrowIfNull(lengths);
        ArgumentOutOfRangeException.ThrowIfLessThan(size, 1);
        return [.. Enumerable.Range(0, lengths.Count).OrderByDescending(i => lengths[i]).Chunk(size)];
    }
}

namespace Grpo.Models.Qwen.RewardModels;

/// <summary>Splits texts into batches of similar length.</summary>
internal static class LengthBatches
{
    /// <summary>Sorts texts by length and fills each batch up to a number of tokens, counted with padding.</summary>
    /// <param name="lengths">The number of tokens of each text.</param>
    /// <param name="maxTokens">The largest number of tokens of a batch. A longer text is a batch of its own.</param>
    /// <returns>The indices of each batch. The longest texts come first, so that memory that is too small fails at once.</returns>
    internal static IReadOnlyList<int[]> Split(IReadOnlyList<int> lengths, int maxTokens)
    {
        int[] order = [.. Enumerable.Range(0, lengths.Count).OrderByDescending(index => lengths[index])];
        var batches = new List<int[]>();
        for (int first = 0; first < order.Length;)
        {
            // The first text of a batch is its longest.
            int rows = (int)Math.Clamp(maxTokens / (long)Math.Max(1, lengths[order[first]]), 1, order.Length - first);
            batches.Add(order[first..(first + rows)]);
            first += rows;
        }

        return batches;
    }
}

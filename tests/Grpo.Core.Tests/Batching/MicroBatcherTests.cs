using CsCheck;

namespace Grpo.Core.Tests.Batching;

public sealed class MicroBatcherTests
{
    [Fact]
    public void Split_puts_the_longest_first_and_keeps_the_order_of_ties()
    {
        IReadOnlyList<int[]> batches = MicroBatcher.Split([3, 9, 3, 5, 9, 1], size: 2);
        Assert.Equal([[1, 4], [3, 0], [2, 5]], batches);
    }

    [Fact]
    public void Split_leaves_the_rest_to_the_last() => Assert.Equal([[0, 1, 2], [3]], MicroBatcher.Split([1, 1, 1, 1], size: 3));

    [Fact]
    public void Split_of_nothing_is_nothing() => Assert.Empty(MicroBatcher.Split([], size: 4));

    [Fact]
    public void Split_names_every_index_once() =>
        Gen.Select(Gen.Int[1, 500].Array[0, 60], Gen.Int[1, 12]).Sample(
            (lengths, size) =>
            {
                IReadOnlyList<int[]> batches = MicroBatcher.Split(lengths, size);
                Assert.Equal(Enumerable.Range(0, lengths.Length), batches.SelectMany(batch => batch).Order());
                Assert.All(batches, batch => Assert.InRange(batch.Length, 1, size));
                int[] inOrder = [.. batches.SelectMany(batch => batch).Select(index => lengths[index])];
                Assert.Equal(inOrder.OrderDescending(), inOrder);
            });

    [Fact]
    public void Split_refuses_empty_micro_batches() => Assert.Throws<ArgumentOutOfRangeException>(() => MicroBatcher.Split([1], size: 0));
}

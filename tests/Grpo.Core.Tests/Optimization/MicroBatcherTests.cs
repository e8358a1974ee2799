using CsCheck;
using Grpo.Modeling;
using Grpo.Optimization;

namespace Grpo.Core.Tests.Optimization;

public sealed class MicroBatcherTests
{
    [Fact]
    public void Split_puts_the_longest_first_and_keeps_the_order_of_ties()
    {
        IReadOnlyList<int[]> batches = MicroBatcher.Split(
            Sequences((1, 2), (1, 8), (1, 2), (1, 4), (1, 8), (1, 0)), new MicroBatchLimits(2));
        Assert.Equal([[1, 4], [3, 0], [2, 5]], batches);
    }

    [Fact]
    public void Split_leaves_the_rest_to_the_last() =>
        Assert.Equal([[0, 1, 2], [3]], MicroBatcher.Split(Sequences((1, 1), (1, 1), (1, 1), (1, 1)), new MicroBatchLimits(3)));

    [Fact]
    public void Split_of_nothing_is_nothing() => Assert.Empty(MicroBatcher.Split([], new MicroBatchLimits(4, 100)));

    [Fact]
    public void Split_counts_the_padding_of_prompts_and_completions_in_the_budget()
    {
        // 7 + 3 and 2 + 7 are 10 and 9 tokens, padded 2 · (7 + 7) = 28; with the last, 3 · 14 = 42.
        TokenSequence[] sequences = Sequences((7, 3), (2, 7), (4, 4));
        Assert.Equal([[0, 1], [2]], MicroBatcher.Split(sequences, new MicroBatchLimits(8, 41)));
        Assert.Equal([[0, 1, 2]], MicroBatcher.Split(sequences, new MicroBatchLimits(8, 42)));
        Assert.Equal([[0], [1], [2]], MicroBatcher.Split(sequences, new MicroBatchLimits(8, 17)));
    }

    [Fact]
    public void Split_gives_a_sequence_longer_than_the_budget_a_micro_batch_of_its_own() =>
        Assert.Equal([[1], [0, 2]], MicroBatcher.Split(Sequences((1, 1), (50, 50), (1, 1)), new MicroBatchLimits(8, 4)));

    [Fact]
    public void Split_keeps_the_sequences_of_a_shared_prompt_together_and_counts_it_once()
    {
        TokenSequence a = new([1, 1, 1, 1], [0]), b = new([2, 2, 2, 2], [0, 0]);
        TokenSequence[] sequences = [a, b with { CompletionIds = [0] }, a with { PromptIds = [1, 1, 1, 1] }, b];
        // One prompt of 4 and two completions of at most 2 are 8; both prompts and all four would be 2 · 4 + 4 · 2 = 16.
        Assert.Equal([[3, 1], [0, 2]], MicroBatcher.Split(sequences, new MicroBatchLimits(8, 8, SharePrompts: true)));
        Assert.Equal([[3, 1, 0, 2]], MicroBatcher.Split(sequences, new MicroBatchLimits(8, 16, SharePrompts: true)));
        Assert.Equal([[3], [0], [1], [2]], MicroBatcher.Split(sequences, new MicroBatchLimits(8, 8)));
    }

    [Fact]
    public void Split_names_every_index_once_and_holds_the_limits() =>
        Gen.Select(Gen.Select(Gen.Int[1, 4], Gen.Int[0, 60]).Array[0, 40], Gen.Int[1, 12], Gen.Int[1, 400], Gen.Bool, Gen.Bool).Sample(
            (shapes, size, budget, hasBudget, share) =>
            {
                TokenSequence[] sequences = [.. shapes.Select(shape => new TokenSequence(new int[shape.Item1 * 7], new int[shape.Item2]))];
                IReadOnlyList<int[]> batches = MicroBatcher.Split(sequences, new MicroBatchLimits(size, hasBudget ? budget : null, share));
                Assert.Equal(Enumerable.Range(0, sequences.Length), batches.SelectMany(batch => batch).Order());
                Assert.All(batches, batch =>
                {
                    Assert.InRange(batch.Length, 1, size);
                    TokenSequence[] members = [.. batch.Select(index => sequences[index])];
                    int prompts = share ? members.Select(member => member.PromptIds.Count).Distinct().Count() : members.Length;
                    int tokens = (prompts * members.Max(member => member.PromptIds.Count))
                        + (members.Length * members.Max(member => member.CompletionIds.Count));
                    Assert.True(!hasBudget || tokens <= budget || members.Length == 1, $"{tokens} tokens with a budget of {budget}.");
                });
                int[] inOrder = [.. batches.SelectMany(batch => batch)];
                if (share)
                {
                    int changes = inOrder.Zip(inOrder.Skip(1))
                        .Count(pair => sequences[pair.First].PromptIds.Count != sequences[pair.Second].PromptIds.Count);
                    Assert.Equal(Math.Max(0, sequences.Select(sequence => sequence.PromptIds.Count).Distinct().Count() - 1), changes);
                }
                else
                {
                    Assert.Equal(
                        inOrder.Select(index => sequences[index].Length).OrderDescending(),
                        inOrder.Select(index => sequences[index].Length));
                }
            });

    [Fact]
    public void Split_refuses_empty_micro_batches()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => MicroBatcher.Split(Sequences((1, 1)), new MicroBatchLimits(0)));
        Assert.Throws<ArgumentOutOfRangeException>(() => MicroBatcher.Split(Sequences((1, 1)), new MicroBatchLimits(1, 0)));
    }

    private static TokenSequence[] Sequences(params (int Prompt, int Completion)[] lengths) =>
        [.. lengths.Select((length, i) => new TokenSequence(Enumerable.Repeat(i, length.Prompt).ToArray(), new int[length.Completion]))];
}

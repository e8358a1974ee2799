using CsCheck;

namespace Grpo.Core.Tests;

public sealed class PromptOrderTests
{
    [Fact]
    public void At_is_a_fixed_function_of_seed_and_step()
    {
        // Computed outside .NET from the definition: Fisher-Yates with the counter's numbers.
        Assert.Equal([6, 5, 2, 1, 0, 4, 3], new PromptOrder(7, seed: 42).At(0, 7));
        Assert.Equal([1, 0, 5, 4, 2, 3, 6], new PromptOrder(7, seed: 42).At(1, 7));
        Assert.Equal([0, 5, 4, 1, 3, 6, 2], new PromptOrder(7, seed: 43).At(0, 7));
    }

    [Fact]
    public void At_visits_every_prompt_once_per_epoch_however_long_a_step_is() =>
        Gen.Select(Gen.Int[1, 40], Gen.Int[1, 60], Gen.ULong).Sample(
            (count, perStep, seed) =>
            {
                var order = new PromptOrder(count, seed);
                int[] visited = [.. Enumerable.Range(0, 2 * count).SelectMany(step => order.At(step, perStep))];
                foreach (int[] epoch in visited.Chunk(count).Where(epoch => epoch.Length == count))
                {
                    Assert.Equal(Enumerable.Range(0, count), epoch.Order());
                }
            },
            iter: 200);

    [Fact]
    public void At_does_not_depend_on_what_was_asked_before() =>
        Gen.Select(Gen.Int[1, 40], Gen.Int[1, 20], Gen.Long[0, 1000]).Sample(
            (count, perStep, step) =>
            {
                var used = new PromptOrder(count, seed: 5);
                used.At(step + 17, perStep);
                used.At(0, perStep);
                Assert.Equal(new PromptOrder(count, seed: 5).At(step, perStep), used.At(step, perStep));
            },
            iter: 200);

    [Fact]
    public void At_reaches_steps_beyond_any_training_run() =>
        Assert.All(new PromptOrder(1000, seed: 1).At(1L << 50, 8), index => Assert.InRange(index, 0, 999));

    [Fact]
    public void Arguments_out_of_range_are_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => new PromptOrder(0, seed: 1));
        var order = new PromptOrder(3, seed: 1);
        Assert.Throws<ArgumentOutOfRangeException>(() => order.At(-1, 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => order.At(0, 0));
    }
}

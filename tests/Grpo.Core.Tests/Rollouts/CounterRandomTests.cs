using CsCheck;

namespace Grpo.Core.Tests.Rollouts;

public sealed class CounterRandomTests
{
    // Computed outside .NET from the definition: a checkpoint of today must continue the same way under every later version.
    [Theory]
    [InlineData(0UL, 0UL, 0xE220A8397B1DCDAFUL)] // the first output of SplitMix64 with seed 0
    [InlineData(0UL, 1UL, 0x6E789E6AA1B965F4UL)] // its second
    [InlineData(42UL, 7UL, 0xCCF635EE9E9E2FA4UL)]
    [InlineData(ulong.MaxValue, ulong.MaxValue, 0xB4D055FCF2CBBD7BUL)]
    public void Combine_is_splitmix(ulong state, ulong value, ulong expected) =>
        Assert.Equal(expected, CounterRandom.Combine(state, value));

    [Theory]
    [InlineData(42UL, 0L, "train-0", 0, 0xCFBCF8528F284D71UL)]
    [InlineData(42UL, 3L, "Größe-7", 5, 0x722A2AFA08844101UL)]
    public void Key_is_a_fixed_function(ulong seed, long step, string prompt, int sample, ulong expected) =>
        Assert.Equal(expected, CounterRandom.Key(seed, step, prompt, sample));

    [Theory]
    [InlineData(0UL, 0L, 0.8833108082136426)]
    [InlineData(1UL, 5L, 0.762894391911761)]
    public void Uniform_is_a_fixed_function(ulong key, long counter, double expected) =>
        Assert.Equal(expected, CounterRandom.Uniform(key, counter));

    [Fact]
    public void Key_differs_in_every_argument()
    {
        ulong[] keys =
        [
            CounterRandom.Key(1, 2, "ab", 3), CounterRandom.Key(2, 2, "ab", 3), CounterRandom.Key(1, 3, "ab", 3),
            CounterRandom.Key(1, 2, "ba", 3), CounterRandom.Key(1, 2, "ab", 4), CounterRandom.Key(2, 1, "ab", 3),
            CounterRandom.Key(1, 2, "", 3),
        ];
        Assert.Equal(keys.Length, keys.Distinct().Count());
    }

    [Fact]
    public void Uniform_stays_below_one() =>
        Gen.Select(Gen.ULong, Gen.Long).Sample((key, counter) => CounterRandom.Uniform(key, counter) is >= 0 and < 1);

    [Fact]
    public void Uniform_fills_the_interval_evenly_along_every_counter()
    {
        // 100 bins of 1000: the standard deviation of a bin is 31.5; six of them are out of reach of chance.
        AssertEven(i => CounterRandom.Uniform(CounterRandom.Key(42, 0, "p", 0), i));          // tokens of a completion
        AssertEven(i => CounterRandom.Uniform(CounterRandom.Key(42, 0, "p", (int)i), 0));     // samples of a group
        AssertEven(i => CounterRandom.Uniform(CounterRandom.Key(42, i, "p", 0), 0));          // steps
        AssertEven(i => CounterRandom.Uniform(CounterRandom.Key((ulong)i, 0, "p", 0), 0));    // seeds
        AssertEven(i => CounterRandom.Uniform(CounterRandom.Key(42, 0, $"p{i}", 0), 0));      // prompts
    }

    [Fact]
    public void Uniform_does_not_repeat_itself_between_neighboring_samples()
    {
        double[] first = [.. Enumerable.Range(0, 10_000).Select(i => CounterRandom.Uniform(CounterRandom.Key(42, 0, "p", 0), i) - 0.5)];
        double[] second = [.. Enumerable.Range(0, 10_000).Select(i => CounterRandom.Uniform(CounterRandom.Key(42, 0, "p", 1), i) - 0.5)];
        double correlation = 12 * first.Zip(second, (a, b) => a * b).Average();
        Assert.InRange(correlation, -0.05, 0.05); // standard deviation 0.01
    }

    private static void AssertEven(Func<long, double> uniform)
    {
        var bins = new int[100];
        for (long i = 0; i < 100_000; i++)
        {
            bins[(int)(uniform(i) * 100)]++;
        }

        Assert.All(bins, count => Assert.InRange(count, 1000 - 190, 1000 + 190));
    }
}

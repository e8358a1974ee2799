using CsCheck;
using Grpo.Rollouts;

namespace Grpo.Core.Tests.Rollouts;

public sealed class CpuTokenSamplerTests
{
    // Long rows cross the sampler's blocks of 256 and the tails of its vectors.
    private static readonly Gen<float[]> Rows = Gen.Select(Gen.Int[1, 700], Gen.Int[0, 1 << 20])
        .Select((length, seed) => Row(length, seed));

    [Fact]
    public void Greedy_takes_the_largest_logit_and_the_lowest_id_among_equals()
    {
        Assert.Equal(2, CpuTokenSampler.Greedy([1, -3, 7, 7, 2]).Id);
        Assert.Equal(0, CpuTokenSampler.Greedy([0, 0, 0]).Id);
        Assert.Equal(1, CpuTokenSampler.Greedy([float.NegativeInfinity, -5]).Id);
    }

    [Fact]
    public void Greedy_reports_log_prob_and_entropy_at_temperature_one()
    {
        SampledToken token = CpuTokenSampler.Greedy([0, MathF.Log(3)]); // probabilities 1/4 and 3/4
        Assert.Equal(1, token.Id);
        Assert.Equal(Math.Log(.75), token.LogProb, 1e-6);
        Assert.Equal(-(.75 * Math.Log(.75)) - (.25 * Math.Log(.25)), token.Entropy, 1e-6);
    }

    [Theory]
    [InlineData(0.0, 0)]
    [InlineData(0.0999, 0)]
    [InlineData(0.1001, 1)]
    [InlineData(0.2999, 1)]
    [InlineData(0.3001, 3)] // token 2 is dropped
    [InlineData(0.9999999, 3)]
    [InlineData(0.99999999999999988, 3)] // the largest double below 1
    public void Sample_inverts_the_cumulative_distribution(double uniform, int expected)
    {
        float[] logits = [MathF.Log(.1f), MathF.Log(.2f), float.NegativeInfinity, MathF.Log(.7f), float.NegativeInfinity];
        SampledToken token = CpuTokenSampler.Sample(logits, temperature: 1, uniform);
        Assert.Equal(expected, token.Id);
        Assert.Equal(logits[expected], token.LogProb, 1e-6);
        Assert.Equal(-(.1 * Math.Log(.1)) - (.2 * Math.Log(.2)) - (.7 * Math.Log(.7)), token.Entropy, 1e-6);
    }

    [Fact]
    public void Sample_equals_a_plain_inversion_in_double_precision() =>
        Gen.Select(Rows, Gen.Double[0.2, 3], Gen.Double[0, 0.9999999]).Sample(
            (logits, temperature, uniform) =>
            {
                SampledToken token = CpuTokenSampler.Sample(logits, temperature, uniform);
                double[] probabilities = Softmax(logits, temperature);
                double below = probabilities.Take(token.Id).Sum();
                // Float sums may move a boundary by a few 1e-7; a draw that close to it may fall on either side.
                Assert.InRange(uniform, below - 2e-6, below + probabilities[token.Id] + 2e-6);
                Assert.True(probabilities[token.Id] > 0);
                Assert.Equal(Math.Log(probabilities[token.Id]), token.LogProb, 1e-5);
                double entropy = -probabilities.Where(p => p > 0).Sum(p => p * Math.Log(p));
                Assert.Equal(entropy, token.Entropy, 1e-5);
            },
            iter: 2000);

    [Fact]
    public void Sample_never_returns_a_dropped_token() =>
        Gen.Select(Rows, Gen.Double[0, 0.9999999]).Sample(
            (logits, uniform) =>
            {
                for (int i = 0; i < logits.Length; i++)
                {
                    if (i % 3 != logits.Length % 3) // always keeps a token
                    {
                        logits[i] = float.NegativeInfinity;
                    }
                }

                if (logits.Any(float.IsFinite))
                {
                    Assert.True(float.IsFinite(logits[CpuTokenSampler.Sample(logits, 1, uniform).Id]));
                    Assert.True(float.IsFinite(logits[CpuTokenSampler.Sample(logits, 1, 1 - (1.0 / (1L << 53))).Id]));
                }
            },
            iter: 1000);

    [Fact]
    public void Sample_has_the_right_frequencies()
    {
        // 50 tokens of probability proportional to 1..50; χ² with 49 degrees of freedom exceeds 85.4 once in 1000 seeds. The seed is fixed.
        const int Draws = 200_000;
        float[] logits = [.. Enumerable.Range(1, 50).Select(weight => MathF.Log(weight))];
        ulong key = CounterRandom.Key(seed: 1, step: 2, "frequencies", sample: 3);
        var counts = new int[50];
        for (int draw = 0; draw < Draws; draw++)
        {
            counts[CpuTokenSampler.Sample(logits, 1, CounterRandom.Uniform(key, draw)).Id]++;
        }

        double chiSquare = counts.Select((count, i) => (count, expected: Draws * (i + 1) / 1275.0))
            .Sum(bin => (bin.count - bin.expected) * (bin.count - bin.expected) / bin.expected);
        Assert.InRange(chiSquare, 20, 85.4);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(8)]
    [InlineData(300)]
    public void Sample_and_Greedy_refuse_nan_wherever_it_stands(int position)
    {
        float[] logits = Row(301, seed: 1);
        logits[position] = float.NaN;
        Assert.Throws<TrainingDivergedException>(() => CpuTokenSampler.Sample(logits, 1, 0.5));
        Assert.Throws<TrainingDivergedException>(() => CpuTokenSampler.Greedy(logits));
    }

    [Fact]
    public void Sample_and_Greedy_refuse_a_row_without_a_finite_maximum()
    {
        float[] empty = [float.NegativeInfinity, float.NegativeInfinity];
        var exception = Assert.Throws<TrainingDivergedException>(() => CpuTokenSampler.Sample(empty, 1, 0.5));
        Assert.Equal("None of the 2 logits is finite: the policy has diverged. Lower the learning rate.", exception.Message);
        Assert.Throws<TrainingDivergedException>(() => CpuTokenSampler.Greedy(empty));
        float[] infinite = [1, float.PositiveInfinity];
        exception = Assert.Throws<TrainingDivergedException>(() => CpuTokenSampler.Sample(infinite, 1, 0.5));
        Assert.Equal("One of the logits is +∞: the policy has diverged. Lower the learning rate.", exception.Message);
        Assert.Throws<TrainingDivergedException>(() => CpuTokenSampler.Greedy(infinite));
    }

    internal static double[] Softmax(float[] logits, double temperature)
    {
        double maximum = logits.Max();
        double[] weights = [.. logits.Select(logit => Math.Exp((logit - maximum) / temperature))];
        double total = weights.Sum();
        return [.. weights.Select(weight => weight / total)];
    }

    private static float[] Row(int length, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, length).Select(_ => (float)((random.NextDouble() * 12) - 6))];
    }
}

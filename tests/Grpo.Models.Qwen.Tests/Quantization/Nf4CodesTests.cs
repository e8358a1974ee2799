using CsCheck;
using Grpo.Models.Qwen.Quantization;

namespace Grpo.Models.Qwen.Tests.Quantization;

public sealed class Nf4CodesTests
{
    // QLoRA, appendix E: quantiles of N(0, 1) at evenly spaced probabilities, 8 from 1 − (1/30 + 1/32)/2 down to above 1/2, and 7 the same
    // way for the negative side, all divided by the largest.
    [Fact]
    public void Levels_are_the_quantiles_of_a_normal_distribution()
    {
        const double Outermost = 1 - (((1 / 30.0) + (1 / 32.0)) / 2);
        double[] positive = [.. Enumerable.Range(0, 8).Select(i => Quantile(Outermost + ((0.5 - Outermost) * i / 8)))];
        double[] negative = [.. Enumerable.Range(0, 7).Select(i => -Quantile(Outermost + ((0.5 - Outermost) * i / 7)))];
        double[] expected = [.. positive.Concat(negative).Append(0).Select(value => value / positive[0]).Order()];

        Assert.Equal(16, Nf4Codes.Levels.Length);
        Assert.All(expected.Zip(Nf4Codes.Levels.ToArray()), pair => Assert.Equal(pair.First, pair.Second, 1e-6));
        Assert.Equal(0, Nf4Codes.Levels[Nf4Codes.Zero]);
    }

    [Fact]
    public void Nearest_is_the_nearest_level() =>
        Gen.Float[-1, 1].Sample(value =>
        {
            float best = Nf4Codes.Levels.ToArray().Min(level => Math.Abs(level - value));
            Assert.Equal(best, Math.Abs(Nf4Codes.Levels[Nf4Codes.Nearest(value)] - value), 1e-7f);
        });

    [Fact]
    public void Nearest_of_a_level_is_its_own_code()
    {
        Assert.Equal(Enumerable.Range(0, 16), Nf4Codes.Levels.ToArray().Select(Nf4Codes.Nearest));
        Assert.Equal(0, Nf4Codes.Nearest(-0.8481f)); // the middle of −1 and −0.69619 is −0.848096
        Assert.Equal(1, Nf4Codes.Nearest(-0.8480f));
    }

    // 64 parts from 0.1 to 1, 32 from 0.01 to 0.1, and so on to 1 part from 1e-7 to 1e-6, with both signs: 254. And 0 and 1.
    [Fact]
    public void Scale_values_are_the_signed_dynamic_tree()
    {
        float[] values = ScaleCodes.Values.ToArray();
        Assert.Equal(256, values.Distinct().Count());
        Assert.Equal(values.Order(), values);
        Assert.Equal((0f, 1f), (values[127], values[255]));
        Assert.Equal(0.1 + (0.9 * 63.5 / 64), values[254], 1e-7);
        Assert.Equal(-(0.1 + (0.9 * 63.5 / 64)), values[0], 1e-7);
        Assert.Equal(0.1 + (0.9 * 0.5 / 64), values[191], 1e-7);      // the smallest of 64 above 0.1
        Assert.Equal(0.01 + (0.09 * 31.5 / 32), values[190], 1e-7);
        Assert.Equal(5.5e-7, values[128], 1e-12);
    }

    [Fact]
    public void Nearest_scale_is_the_nearest_value() =>
        Gen.Float[-1, 1].Sample(value =>
        {
            float best = ScaleCodes.Values.ToArray().Min(level => Math.Abs(level - value));
            Assert.Equal(best, Math.Abs(ScaleCodes.Values[ScaleCodes.Nearest(value)] - value), 1e-7f);
        });

    // Bisection of Φ(x) = 1/2 + φ(x) · (x + x³/3 + x⁵/(3 · 5) + …).
    private static double Quantile(double probability)
    {
        double low = 0, high = 4;
        for (int i = 0; i < 60; i++)
        {
            double x = (low + high) / 2, term = x, sum = 0;
            for (int n = 1; n < 80; n++)
            {
                sum += term;
                term *= x * x / ((2 * n) + 1);
            }

            double below = 0.5 + (Math.Exp(-x * x / 2) / Math.Sqrt(2 * Math.PI) * sum);
            (low, high) = below < probability ? (x, high) : (low, x);
        }

        return low;
    }
}

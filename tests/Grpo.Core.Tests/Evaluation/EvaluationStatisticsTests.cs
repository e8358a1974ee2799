using CsCheck;
using Grpo.Evaluation;

namespace Grpo.Core.Tests.Evaluation;

public sealed class EvaluationStatisticsTests
{
    // z² = 3.841459 for 95 %. At 0 of n the interval is [0, z²/(n + z²)]: 3.841459 / 13.841459 = 0.277533.
    // 5 of 10: 0.5 ± 1.959964·√(0.025 + 0.009604) / 1.384146 · … = 0.5 ± 0.263407.
    // 81 of 263 is Newcombe's example (Statistics in Medicine 17, 857-872): 0.2553 to 0.3662.
    [Theory]
    [InlineData(0, 10, 0, 0.2775327998628892)]
    [InlineData(10, 10, 0.7224672001371107, 1)]
    [InlineData(5, 10, 0.236593090512564, 0.7634069094874361)]
    [InlineData(27, 100, 0.1926958414957634, 0.36432116767944994)]
    [InlineData(81, 263, 0.2552885198782742, 0.36620957698280004)]
    [InlineData(1, 1, 0.20654931437723745, 1)]
    public void Wilson_is_the_score_interval(double successes, int trials, double low, double high)
    {
        ConfidenceInterval interval = EvaluationStatistics.Wilson(successes, trials);
        Assert.Equal(low, interval.Low, tolerance: 1e-14);
        Assert.Equal(high, interval.High, tolerance: 1e-14);
    }

    [Fact]
    public void Wilson_follows_the_confidence()
    {
        ConfidenceInterval interval = EvaluationStatistics.Wilson(27, 100, confidence: 0.99); // z = 2.575829
        Assert.Equal(0.17264834127297224, interval.Low, tolerance: 1e-13);
        Assert.Equal(0.39597317507630636, interval.High, tolerance: 1e-13);
    }

    [Theory]
    [InlineData(0.5, 0.6744897501960817)]
    [InlineData(0.9, 1.6448536269514715)]
    [InlineData(0.95, 1.9599639845400536)]
    [InlineData(0.99, 2.5758293035489)]
    [InlineData(0.999, 3.2905267314919255)]
    [InlineData(0.999999, 4.891638475671084)]
    public void TwoSided_is_the_normal_quantile(double confidence, double expected) =>
        // The reference inverts (1 + confidence) / 2, whose rounding moves z by 1e-16 / φ(z): at z = 4.89 by 4e-11.
        Assert.Equal(expected, StandardNormal.TwoSided(confidence), tolerance: confidence > 0.9999 ? 1e-10 : 1e-12);

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(-0.5)]
    [InlineData(95)]
    [InlineData(double.NaN)]
    public void Wilson_refuses_a_confidence_that_is_none(double confidence)
    {
        var exception = Assert.Throws<ArgumentOutOfRangeException>(() => EvaluationStatistics.Wilson(1, 2, confidence));
        Assert.StartsWith(
            "The confidence must be above 0 and at most 0.999999; 0.95 is usual.", exception.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(-1, 10)]
    [InlineData(11, 10)]
    [InlineData(double.NaN, 10)]
    [InlineData(0, 0)]
    public void Wilson_refuses_counts_that_cannot_be(double successes, int trials) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => EvaluationStatistics.Wilson(successes, trials));

    [Fact]
    public void Wilson_stays_in_the_unit_interval_and_contains_the_estimate() =>
        Gen.Select(Gen.Int[1, 5000], Gen.Double[0, 1], Gen.Double[0.01, 0.9999]).Sample((trials, share, confidence) =>
        {
            double successes = Math.Round(share * trials), estimate = successes / trials;
            ConfidenceInterval interval = EvaluationStatistics.Wilson(successes, trials, confidence);
            ConfidenceInterval mirrored = EvaluationStatistics.Wilson(trials - successes, trials, confidence);
            return interval.Low >= 0 && interval.High <= 1 && interval.Contains(estimate) && interval.Low < interval.High
                && Math.Abs(1 - mirrored.High - interval.Low) < 1e-12;
        });

    // C(3, k) / C(5, k): 3/5, 3/10, 1/10.
    [Theory]
    [InlineData(5, 2, 1, 0.4)]
    [InlineData(5, 2, 2, 0.7)]
    [InlineData(5, 2, 3, 0.9)]
    [InlineData(5, 2, 4, 1)] // four of five samples cannot all be among the three wrong ones
    [InlineData(5, 0, 3, 0)]
    [InlineData(5, 5, 1, 1)]
    [InlineData(1, 0, 1, 0)]
    [InlineData(10000, 3, 100, 0.02970394078815763)] // 1 − 9900·9899·9898 / (10000·9999·9998); C(10000, 100) has 242 digits
    public void PassAtK_is_the_unbiased_estimate(int samples, int correct, int k, double expected) =>
        Assert.Equal(expected, EvaluationStatistics.PassAtK(samples, correct, k), tolerance: 1e-14);

    [Theory]
    [InlineData(0, 0, 1)]
    [InlineData(5, 6, 1)]
    [InlineData(5, -1, 1)]
    [InlineData(5, 2, 0)]
    [InlineData(5, 2, 6)]
    public void PassAtK_refuses_what_cannot_be_estimated(int samples, int correct, int k) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => EvaluationStatistics.PassAtK(samples, correct, k));

    [Fact]
    public void PassAtK_is_the_share_of_subsets_with_a_correct_sample() =>
        // Every subset of at most ten samples, of which the first c are correct.
        Gen.Int[1, 10].SelectMany(n => Gen.Select(Gen.Const(n), Gen.Int[0, n], Gen.Int[1, n])).Sample((n, c, k) =>
        {
            int[] subsets = [.. Enumerable.Range(0, 1 << n).Where(subset => int.PopCount(subset) == k)];
            double share = subsets.Count(subset => (subset & ((1 << c) - 1)) != 0) / (double)subsets.Length;
            return Math.Abs(share - EvaluationStatistics.PassAtK(n, c, k)) < 1e-14;
        });

    [Fact]
    public void PassAtK_rises_with_k_and_with_the_correct_samples_and_is_their_share_for_one() =>
        Gen.Int[2, 300].SelectMany(n => Gen.Select(Gen.Const(n), Gen.Int[0, n - 1], Gen.Int[1, n - 1])).Sample((n, c, k) =>
            EvaluationStatistics.PassAtK(n, c, k) <= EvaluationStatistics.PassAtK(n, c, k + 1) + 1e-15
            && EvaluationStatistics.PassAtK(n, c, k) <= EvaluationStatistics.PassAtK(n, c + 1, k) + 1e-15
            && Math.Abs(EvaluationStatistics.PassAtK(n, c, 1) - (c / (double)n)) < 1e-13);

    // 1 against 9: 2·(C(10,0) + C(10,1)) / 2¹⁰ = 22/1024. 0 against 5: 2/32. 2 against 10: 2·(1 + 12 + 66) / 4096 = 158/4096.
    [Theory]
    [InlineData(1, 9, 0.021484375)]
    [InlineData(0, 5, 0.0625)]
    [InlineData(2, 10, 0.03857421875)]
    [InlineData(1, 2, 1)]
    [InlineData(3, 4, 1)]
    [InlineData(5, 5, 1)]
    [InlineData(0, 0, 1)]
    [InlineData(0, 1, 1)]
    public void McNemar_is_the_exact_binomial_test(int improved, int worsened, double expected) =>
        Assert.Equal(expected, EvaluationStatistics.McNemar(improved, worsened), tolerance: 1e-15);

    [Theory]
    [InlineData(400, 500, 0.0009564441369189461)] // exact fractions of integers
    [InlineData(4000, 4300, 0.001029736761268161)]
    [InlineData(0, 1000, 1.8665272370064378e-301)] // 2 / 2¹⁰⁰⁰
    public void McNemar_neither_overflows_nor_vanishes(int improved, int worsened, double expected) =>
        Assert.Equal(1, EvaluationStatistics.McNemar(improved, worsened) / expected, tolerance: 1e-11);

    [Fact]
    public void McNemar_does_not_care_which_side_is_which_and_falls_as_the_split_grows_uneven() =>
        Gen.Select(Gen.Int[0, 400], Gen.Int[0, 400]).Sample((a, b) =>
        {
            double p = EvaluationStatistics.McNemar(a, b);
            return p == EvaluationStatistics.McNemar(b, a) && p is > 0 and <= 1
                && (Math.Min(a, b) == 0 || EvaluationStatistics.McNemar(Math.Min(a, b) - 1, Math.Max(a, b) + 1) <= p);
        });

    [Fact]
    public void McNemar_refuses_a_negative_count()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => EvaluationStatistics.McNemar(-1, 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => EvaluationStatistics.McNemar(1, -2));
    }

    // 9 fixed and 1 broken of 100; with half an item more in each cell: 9.5 and 1.5 of 102.
    // 8/102 ± 1.959964·√(11 − 8²/102)/102 = 0.078431 ± 0.061886. Nothing changed, 10 items: ± 1.959964·√1/12.
    [Theory]
    [InlineData(100, 9, 1, 0.01654562, 0.14031712)]
    [InlineData(100, 1, 9, -0.14031712, -0.01654562)]
    [InlineData(10, 0, 0, -0.16333033, 0.16333033)]
    [InlineData(10, 10, 0, 0.56661602, 1)] // 10/12 ± 1.959964·√(11 − 100/12)/12, cut at 1
    public void PairedDifference_is_the_adjusted_Wald_interval(int count, int improved, int worsened, double low, double high)
    {
        ConfidenceInterval interval = EvaluationStatistics.PairedDifference(count, improved, worsened);
        Assert.Equal(low, interval.Low, tolerance: 1e-8);
        Assert.Equal(high, interval.High, tolerance: 1e-8);
    }

    [Theory]
    [InlineData(0, 0, 0)]
    [InlineData(10, -1, 0)]
    [InlineData(10, 0, -1)]
    [InlineData(10, 6, 5)]
    [InlineData(10, int.MaxValue, int.MaxValue)]
    public void PairedDifference_refuses_counts_that_cannot_be(int count, int improved, int worsened) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => EvaluationStatistics.PairedDifference(count, improved, worsened));

    [Theory]
    [InlineData(0.3, 0.5, true)]
    [InlineData(0.2, 0.3, true)]   // one point in common
    [InlineData(0.51, 0.6, false)]
    [InlineData(0.1, 0.29, false)]
    public void Overlaps_asks_for_a_point_in_common(double low, double high, bool expected)
    {
        var interval = new ConfidenceInterval(0.3, 0.5);
        Assert.Equal(expected, interval.Overlaps(new ConfidenceInterval(low, high)));
        Assert.Equal(expected, new ConfidenceInterval(low, high).Overlaps(interval));
    }
}

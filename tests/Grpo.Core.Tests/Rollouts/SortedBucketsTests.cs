using CsCheck;
using Grpo.Rollouts;

namespace Grpo.Core.Tests.Rollouts;

public sealed class SortedBucketsTests
{
    // Spread and clustered rows, with ties, zeros of both signs and dropped tokens.
    private static readonly Gen<float[]> Rows = Gen.Select(
        Gen.Float[-30, 30], Gen.Float[-1e-3f, 1e-3f], Gen.Int[0, 9], (wide, narrow, kind) => kind switch
        {
            0 => float.NegativeInfinity,
            1 => 0f,
            2 => -0f,
            3 => 5f,
            < 6 => 5 + narrow,
            _ => wide,
        }).Array[1, 2000];

    [Fact]
    public void KthLargest_is_that_of_a_full_sort() => Gen.Select(Rows, Gen.Int[0, int.MaxValue]).Sample((row, pick) =>
    {
        int k = (pick % row.Length) + 1;
        Assert.Equal(row.Order().ElementAt(row.Length - k), SortedBuckets.KthLargest(row, k));
    }, iter: 300);

    [Fact]
    public void Maximum_is_the_largest_value() => Rows.Sample(row => Assert.Equal(row.Max(), SortedBuckets.Maximum(row)), iter: 200);

    [Fact]
    public void DropLeast_drops_the_least_probable_tokens_as_long_as_they_sum_up_to_the_share() =>
        Gen.Select(Rows, Gen.Double[0, 0.999]).Sample((row, share) =>
        {
            row = [.. row, 1f]; // at least one finite
            float[] kept = [.. row];
            SortedBuckets.DropLeast(kept, share);
            double maximum = row.Max(), total = row.Sum(value => Math.Exp(value - maximum));
            double Probability(int i) => Math.Exp(row[i] - maximum) / total;

            int[] staying = [.. Enumerable.Range(0, row.Length).Where(i => !float.IsNegativeInfinity(kept[i]))];
            int[] dropped = [.. Enumerable.Range(0, row.Length).Except(staying)];
            Assert.All(staying, i => Assert.Equal(row[i], kept[i]));
            Assert.Contains(staying, i => row[i] == row.Max());
            Assert.True(dropped.Length == 0 || dropped.Max(i => row[i]) <= staying.Min(i => row[i]));

            // Sums of float32 probabilities: about 1e-6 is rounding.
            double sum = dropped.Sum(Probability);
            Assert.InRange(sum, 0, share + 1e-6);
            int least = staying.MinBy(i => row[i]);
            Assert.True(staying.Length == 1 || sum + Probability(least) > share - 1e-6);
        }, iter: 500);
}

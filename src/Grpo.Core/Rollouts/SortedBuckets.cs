using System.Buffers;
using System.Runtime.Intrinsics;

namespace Grpo.Rollouts;

/// <summary>
/// Finds the thresholds of top-k and top-p in a row of logits by bucket counts, and sorts only the bucket of the threshold.
/// </summary>
/// <remarks>
/// A full sort of the vocabulary would take longer than everything else in sampling a token. Top-k counts logits by their first 16 bits;
/// top-p sums probabilities by the distance of the logit from the maximum.
/// </remarks>
internal static class SortedBuckets
{
    private const int Buckets = 1 << 16;               // sign, exponent and seven bits of the fraction
    private const int DepthsPerNat = 64;
    private const int Depths = 32 * DepthsPerNat;

    /// <summary>Returns the largest value, or −∞ if there is none.</summary>
    public static float Maximum(ReadOnlySpan<float> values)
    {
        Vector256<float> largest = Vector256.Create(float.NegativeInfinity);
        int i = 0;
        for (; i + Vector256<float>.Count <= values.Length; i += Vector256<float>.Count)
        {
            largest = Vector256.Max(largest, Vector256.Create(values[i..]));
        }

        float maximum = float.NegativeInfinity;
        for (int lane = 0; lane < Vector256<float>.Count; lane++)
        {
            maximum = Math.Max(maximum, largest[lane]);
        }

        foreach (float value in values[i..])
        {
            maximum = Math.Max(maximum, value);
        }

        return maximum;
    }

    /// <summary>Returns the k-th largest value, where each of several equal values counts.</summary>
    /// <param name="values">At least k values without NaN.</param>
    /// <param name="k">The rank, from 1.</param>
    public static float KthLargest(ReadOnlySpan<float> values, int k)
    {
        int[] counts = ArrayPool<int>.Shared.Rent(Buckets);
        try
        {
            Array.Clear(counts, 0, Buckets);
            foreach (float value in values)
            {
                counts[BucketOf(value)]++;
            }

            int bucket = Buckets - 1;
            for (; counts[bucket] < k; bucket--)
            {
                k -= counts[bucket];
            }

            return SortBucket(values, bucket)[^k];
        }
        finally
        {
            ArrayPool<int>.Shared.Return(counts);
        }
    }

    /// <summary>
    /// Sets the logits of the least probable tokens to −∞, as long as their total probability is at most <paramref name="share"/>. The most
    /// probable token always stays. Of equal logits, that of the lowest token id is dropped first.
    /// </summary>
    /// <param name="logits">Logits without NaN, at least one of them finite.</param>
    /// <param name="share">The probability that may be dropped, 0 to below 1.</param>
    public static void DropLeast(Span<float> logits, double share)
    {
        float maximum = Maximum(logits);
        Span<double> sums = stackalloc double[Depths];
        double total = SumByDepth(logits, maximum, sums);
        double dropped = 0;
        int depth = Depths - 1;
        for (; depth > 0 && dropped + sums[depth] <= share * total; depth--)
        {
            dropped += sums[depth];
        }

        var atDepth = new List<float>();
        var indices = new List<int>();
        DropBelow(logits, maximum, depth, atDepth, indices);
        (float[] sorted, int[] order) = StableSort(atDepth, indices);
        for (int i = 0; i < sorted.Length - (depth == 0 ? 1 : 0); i++)
        {
            dropped += Math.Exp(sorted[i] - (double)maximum);
            if (dropped > share * total)
            {
                return;
            }

            logits[order[i]] = float.NegativeInfinity;
        }
    }

    // Sorts in ascending order. Equal values keep the order of their indices, so that a sort on another device drops the same tokens.
    private static (float[] Values, int[] Indices) StableSort(List<float> values, List<int> indices)
    {
        float[] sorted = [.. values];
        int[] order = [.. indices];
        Array.Sort(sorted, order);
        for (int start = 0, end = 1; start < sorted.Length; start = end++)
        {
            while (end < sorted.Length && sorted[end] == sorted[start])
            {
                end++;
            }

            Array.Sort(order, start, end - start);
        }

        return (sorted, order);
    }

    // The bucket of a distance below the largest logit. The last bucket also holds everything deeper, at most 10⁻¹⁴
    // of the largest probability.
    private static Vector256<int> DepthsOf(Vector256<float> below) => Vector256.ConvertToInt32(
        Vector256.Min(below * Vector256.Create((float)DepthsPerNat), Vector256.Create(Depths - 1f)));

    // Adds each e^(z − max) to the sum of its depth, and returns the total.
    private static double SumByDepth(ReadOnlySpan<float> logits, float maximum, Span<double> sums)
    {
        Span<float> padded = stackalloc float[Vector256<float>.Count];
        int i = 0;
        for (; i + Vector256<float>.Count <= logits.Length; i += Vector256<float>.Count)
        {
            Add(Vector256.Create(logits[i..]), maximum, sums);
        }

        padded.Fill(float.NegativeInfinity);
        logits[i..].CopyTo(padded);
        Add(Vector256.Create<float>(padded), maximum, sums);
        double total = 0;
        foreach (double sum in sums)
        {
            total += sum;
        }

        return total;

        static void Add(Vector256<float> values, float maximum, Span<double> sums)
        {
            Vector256<float> below = Vector256.Create(maximum) - values;
            Vector256<float> weights = Vector256.Exp(-below);
            Vector256<int> depths = DepthsOf(below);
            for (int lane = 0; lane < Vector256<float>.Count; lane++)
            {
                sums[depths.GetElement(lane)] += weights.GetElement(lane);
            }
        }
    }

    // Sets logits below the depth to −∞, and collects those at the depth with their indices.
    private static void DropBelow(Span<float> logits, float maximum, int depth, List<float> atDepth, List<int> indices)
    {
        for (int i = 0; i < logits.Length; i += Vector256<float>.Count)
        {
            Span<float> part = logits.Slice(i, Math.Min(Vector256<float>.Count, logits.Length - i));
            if (part.Length == Vector256<float>.Count)
            {
                Vector256<float> values = Vector256.Create<float>(part);
                Vector256<int> depths = DepthsOf(Vector256.Create(maximum) - values);
                Vector256<int> deeper = Vector256.GreaterThan(depths, Vector256.Create(depth));
                Vector256.ConditionalSelect(deeper.AsSingle(), Vector256.Create(float.NegativeInfinity), values).CopyTo(part);
                if (!Vector256.EqualsAny(depths, Vector256.Create(depth)))
                {
                    continue;
                }
            }

            for (int lane = 0; lane < part.Length; lane++)
            {
                int own = DepthsOf(Vector256.Create(maximum - part[lane]))[0];
                if (own == depth)
                {
                    atDepth.Add(part[lane]);
                    indices.Add(i + lane);
                }
                else if (own > depth)
                {
                    part[lane] = float.NegativeInfinity;
                }
            }
        }
    }

    // The first 16 bits of the value, mapped so that buckets ascend with the values.
    private static int BucketOf(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return (int)(((int)bits < 0 ? ~bits : bits | 0x8000_0000) >> 16);
    }

    // The values of a bucket in ascending order.
    private static float[] SortBucket(ReadOnlySpan<float> values, int bucket)
    {
        var found = new List<float>();
        foreach (float value in values)
        {
            if (BucketOf(value) == bucket)
            {
                found.Add(value);
            }
        }

        found.Sort();
        return [.. found];
    }
}

using System.Buffers;
using System.Runtime.Intrinsics;

namespace Grpo.Rollouts;

/// <summary>
/// Where in the order of a row of logits a count or a sum of probabilities is reached. A full sort of a vocabulary takes longer than all else in
/// drawing a token, and nearly all of it orders tokens that stay or go together: here they are counted by the first bits of their logits, or summed by
/// how far they are below the largest, and only those of one bucket are sorted.
/// </summary>
internal static class SortedBuckets
{
    private const int Buckets = 1 << 16;               // sign, exponent and seven bits of the fraction
    private const int DepthsPerNat = 64;
    private const int Depths = 32 * DepthsPerNat;

    /// <summary>The largest value, or −∞.</summary>
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

    /// <summary>The k-th largest value; equal ones count each.</summary>
    /// <param name="values">No NaN; at least k.</param>
    /// <param name="k">From 1.</param>
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

            return InOrder(values, bucket).Keys[^k];
        }
        finally
        {
            ArrayPool<int>.Shared.Return(counts);
        }
    }

    /// <summary>
    /// Sets the least probable tokens to −∞ while the probability of all that are dropped, softmax of the logits, stays at most
    /// <paramref name="share"/>. The most probable one always stays.
    /// </summary>
    /// <param name="logits">No NaN, at least one that is finite.</param>
    /// <param name="share">0 to below 1.</param>
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

        var keys = new List<float>();
        var places = new List<int>();
        DropBelow(logits, maximum, depth, keys, places);
        float[] sorted = [.. keys];
        int[] order = [.. places];
        Array.Sort(sorted, order);
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

    // Steps below the largest logit, and all that is deeper: 10⁻¹⁴ of its probability at most.
    private static Vector256<int> DepthsOf(Vector256<float> below) => Vector256.ConvertToInt32(
        Vector256.Min(below * Vector256.Create((float)DepthsPerNat), Vector256.Create(Depths - 1f)));

    // Adds e^(z − max) to the sum of its depth; gives the sum of all.
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

    // −∞ for all that is deeper; what is as deep is noted.
    private static void DropBelow(Span<float> logits, float maximum, int depth, List<float> keys, List<int> places)
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
                    keys.Add(part[lane]);
                    places.Add(i + lane);
                }
                else if (own > depth)
                {
                    part[lane] = float.NegativeInfinity;
                }
            }
        }
    }

    // Ascending with the value.
    private static int BucketOf(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return (int)(((int)bits < 0 ? ~bits : bits | 0x8000_0000) >> 16);
    }

    // The values of a bucket, ascending, and where they stand.
    private static (float[] Keys, int[] Places) InOrder(ReadOnlySpan<float> values, int bucket)
    {
        var keys = new List<float>();
        var places = new List<int>();
        for (int i = 0; i < values.Length; i++)
        {
            if (BucketOf(values[i]) == bucket)
            {
                keys.Add(values[i]);
                places.Add(i);
            }
        }

        float[] sorted = [.. keys];
        int[] order = [.. places];
        Array.Sort(sorted, order);
        return (sorted, order);
    }
}

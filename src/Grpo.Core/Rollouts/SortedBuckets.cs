using System.Buffers;
using System.Runtime.Intrinsics;

namespace Grpo;

/// <summary>
/// Where in the order of a row of logits a count or a sum of probabilities is reached. A full sort of a vocabulary takes longer than all else in
/// drawing a token, and nearly all of it orders tokens that stay or go together: here they are counted by the first bits of their logits,
/// and only those of one bucket are sorted.
/// </summary>
internal static class SortedBuckets
{
    private const int Buckets = 1 << 16;               // sign, exponent and seven bits of the fraction

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
        double[] sums = ArrayPool<double>.Shared.Rent(Buckets);
        float[] weights = ArrayPool<float>.Shared.Rent(logits.Length);
        try
        {
            Array.Clear(sums, 0, Buckets);
            Exponentiate(logits, maximum, weights);
            for (int i = 0; i < logits.Length; i++)
            {
                sums[BucketOf(logits[i])] += weights[i];
            }

            double total = 0;
            for (int i = 0; i < Buckets; i++)
            {
                total += sums[i];
            }

            double dropped = 0;
            int bucket = 0, last = BucketOf(maximum);
            for (; bucket < last && dropped + sums[bucket] <= share * total; bucket++)
            {
                dropped += sums[bucket];
            }

            (float[] keys, int[] places) = InOrder(logits, bucket);
            for (int i = 0; i < logits.Length; i++)
            {
                logits[i] = BucketOf(logits[i]) < bucket ? float.NegativeInfinity : logits[i];
            }

            for (int i = 0; i < keys.Length - (bucket == last ? 1 : 0); i++)
            {
                dropped += Math.Exp(keys[i] - (double)maximum);
                if (dropped > share * total)
                {
                    return;
                }

                logits[places[i]] = float.NegativeInfinity;
            }
        }
        finally
        {
            ArrayPool<double>.Shared.Return(sums);
            ArrayPool<float>.Shared.Return(weights);
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

    private static void Exponentiate(ReadOnlySpan<float> logits, float maximum, Span<float> weights)
    {
        int i = 0;
        for (; i + Vector256<float>.Count <= logits.Length; i += Vector256<float>.Count)
        {
            Vector256.Exp(Vector256.Create(logits[i..]) - Vector256.Create(maximum)).CopyTo(weights[i..]);
        }

        for (; i < logits.Length; i++)
        {
            weights[i] = MathF.Exp(logits[i] - maximum);
        }
    }
}

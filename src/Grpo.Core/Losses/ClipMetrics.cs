namespace Grpo.Losses;

/// <summary>The fractions of an optimizer step's probability ratios that left the trust region, each from 0 to 1.</summary>
/// <param name="LowMean">The fraction of ratios below the range with A &lt; 0 (clip_ratio/low_mean).</param>
/// <param name="HighMean">The fraction of ratios above the range with A &gt; 0 (clip_ratio/high_mean, and cispo_clip_ratio).</param>
/// <param name="RegionMean">The sum of the two fractions (clip_ratio/region_mean).</param>
/// <param name="LowMin">The smallest low fraction of a sequence (clip_ratio/low_min).</param>
/// <param name="HighMax">The largest high fraction of a sequence (clip_ratio/high_max).</param>
public readonly record struct ClipMetrics(double LowMean, double HighMean, double RegionMean, double LowMin, double HighMax)
{
    /// <summary>Computes the fractions from the counts of a step. The counts of its micro-batches are concatenated.</summary>
    /// <param name="counts">
    /// The triples low, high and total of each sequence, from <see cref="ClipCounts.PerSequence"/>. Sequences without tokens are ignored.
    /// </param>
    /// <returns>The fractions, all 0 if nothing was counted.</returns>
    /// <exception cref="ArgumentException">The length is not a multiple of 3.</exception>
    public static ClipMetrics FromCounts(ReadOnlySpan<float> counts)
    {
        if (counts.Length % 3 != 0)
        {
            throw new ArgumentException($"The counts are triples, but there are {counts.Length} numbers.", nameof(counts));
        }

        double low = 0, high = 0, all = 0, lowMin = double.PositiveInfinity, highMax = 0;
        for (int i = 0; i < counts.Length; i += 3)
        {
            double tokens = counts[i + 2];
            if (tokens > 0)
            {
                low += counts[i];
                high += counts[i + 1];
                all += tokens;
                lowMin = Math.Min(lowMin, counts[i] / tokens);
                highMax = Math.Max(highMax, counts[i + 1] / tokens);
            }
        }

        return all == 0 ? default : new ClipMetrics(low / all, high / all, (low + high) / all, lowMin, highMax);
    }
}

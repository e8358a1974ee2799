namespace Grpo.Losses;

/// <summary>How much of an optimizer step left the trust region. Every number is a fraction, 0 to 1.</summary>
/// <param name="LowMean">Of all ratios, those below the range with A &lt; 0 (clip_ratio/low_mean).</param>
/// <param name="HighMean">Of all ratios, those above the range with A &gt; 0 (clip_ratio/high_mean, and cispo_clip_ratio).</param>
/// <param name="RegionMean">Their sum (clip_ratio/region_mean).</param>
/// <param name="LowMin">The smallest low fraction of a sequence (clip_ratio/low_min).</param>
/// <param name="HighMax">The largest high fraction of a sequence (clip_ratio/high_max).</param>
public readonly record struct ClipMetrics(double LowMean, double HighMean, double RegionMean, double LowMin, double HighMax)
{
    /// <summary>Summarises the counts of a step; those of its micro-batches are simply joined.</summary>
    /// <param name="counts">
    /// Triples of low, high and all, one per sequence (<see cref="ClipCounts.PerSequence"/>). A sequence without tokens is left out.
    /// </param>
    /// <returns>All 0 when nothing was counted.</returns>
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

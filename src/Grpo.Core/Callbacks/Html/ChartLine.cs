namespace Grpo.Callbacks;

/// <summary>A line of a chart.</summary>
/// <param name="Name">Its name in the legend.</param>
/// <param name="Style">Its CSS class, which sets colour and dashes: s1, s2 or s3.</param>
/// <param name="Points">In the order of the steps.</param>
internal sealed record ChartLine(string Name, string Style, IReadOnlyList<ChartPoint> Points)
{
    /// <summary>What the band between low and high is; null without one.</summary>
    public string? BandName { get; init; }

    /// <summary>Whether each point shows its low and high as a bar.</summary>
    public bool HasWhiskers { get; init; }

    public static ChartLine Of(string name, string style, Series series) => new(
        name,
        style,
        [.. series.Buckets.Select(bucket => new ChartPoint(bucket.Center, bucket.Label, bucket.Mean, bucket.Min, bucket.Max))])
    {
        BandName = series.IsJoined ? "lowest to highest" : null,
    };
}

/// <summary>A point of a line; NaN is a gap.</summary>
/// <param name="Step">Where.</param>
/// <param name="Label">The step, or the steps, in words.</param>
/// <param name="Value">The value.</param>
/// <param name="Low">Lower end of the band.</param>
/// <param name="High">Upper end of the band.</param>
internal readonly record struct ChartPoint(double Step, string Label, double Value, double Low, double High);

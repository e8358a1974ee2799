namespace Grpo.Callbacks;

/// <summary>A chart of lines over the steps, each with an optional band. A step without a value is a gap.</summary>
internal sealed class LineChart : Chart
{
    // Up to this number of points, each point is drawn with a tooltip.
    private const int MarkedPoints = 60;

    public required IReadOnlyList<ChartLine> Lines { get; init; }

    public bool WithZero { get; init; } = true;

    /// <summary>True if the value axis is fixed at 0 to 100 %.</summary>
    public bool IsFraction { get; init; }

    protected override bool HasValues => Drawn.Any();

    protected override IReadOnlyList<(string Name, string Style)> Legend =>
        [.. Drawn.Select(line => (line.BandName is null ? line.Name : $"{line.Name}, with {line.BandName}", line.Style))];

    private IEnumerable<ChartLine> Drawn => Lines.Where(line => line.Points.Any(point => double.IsFinite(point.Value)));

    protected override (Axis Steps, Axis Values) Axes()
    {
        ChartPoint[] points = [.. Drawn.SelectMany(line => line.Points)];
        Axis values = IsFraction
            ? Axis.Fraction
            : Axis.FromValues(points.SelectMany(point => new[] { point.Value, point.Low, point.High }), WithZero);
        return (Axis.FromSteps(points.Min(point => point.Step), points.Max(point => point.Step)), values);
    }

    protected override void Draw(HtmlWriter page, Axis steps, Axis values)
    {
        foreach (ChartLine line in Drawn)
        {
            foreach (ChartPoint[] run in Runs(line.Points))
            {
                if (line.BandName is not null && run.Length > 1)
                {
                    page.Write($"""<path class="band {line.Style}" d=" """);
                    Trace(page, steps, values, run, point => point.High, 'M');
                    Trace(page, steps, values, [.. run.Reverse()], point => point.Low, 'L');
                    page.Write($"""Z"/>""");
                }

                if (run.Length > 1)
                {
                    page.Write($"""<path class="line {line.Style}" d=" """);
                    Trace(page, steps, values, run, point => point.Value, 'M');
                    page.Write($""" "/>""");
                }

                if (run.Length == 1 || line.Points.Count <= MarkedPoints)
                {
                    Mark(page, steps, values, line, run);
                }
            }
        }
    }

    protected override void WriteTable(HtmlWriter page)
    {
        ChartLine[] lines = [.. Drawn];
        page.Write($"""<thead><tr><th scope="col">step</th>""");
        foreach (ChartLine line in lines)
        {
            page.Write($"""<th scope="col">{line.Name}</th>""");
            if (line.BandName is not null)
            {
                page.Write($"""<th scope="col">{line.BandName}</th>""");
            }
        }

        page.Write($"</tr></thead><tbody>");
        var rows = new SortedDictionary<double, ChartPoint?[]>();
        for (int i = 0; i < lines.Length; i++)
        {
            foreach (ChartPoint point in lines[i].Points)
            {
                if (!rows.TryGetValue(point.Step, out ChartPoint?[]? row))
                {
                    rows[point.Step] = row = new ChartPoint?[lines.Length];
                }

                row[i] = point;
            }
        }

        foreach (ChartPoint?[] row in rows.Values)
        {
            page.Write($"""<tr><th scope="row">{row.OfType<ChartPoint>().First().Label}</th>""");
            for (int i = 0; i < lines.Length; i++)
            {
                page.Write($"<td>{Show(row[i]?.Value)}</td>");
                if (lines[i].BandName is not null)
                {
                    page.Write($"<td>{Show(row[i]?.Low)} to {Show(row[i]?.High)}</td>");
                }
            }

            page.Write($"</tr>");
        }

        page.Write($"</tbody>");
    }

    private void Mark(HtmlWriter page, Axis steps, Axis values, ChartLine line, ChartPoint[] run)
    {
        foreach (ChartPoint point in run)
        {
            double x = X(steps, point.Step);
            if (line.HasWhiskers)
            {
                page.Write($"""<path class="whisker {line.Style}" d="M{x} {Y(values, point.Low)}V{Y(values, point.High)}"/>""");
            }

            page.Write(
                $"""<circle class="dot {line.Style}" cx="{x}" cy="{Y(values, point.Value)}" """
                + $"""r="{(line.HasWhiskers ? 3.5 : 2.8)}"><title>step {point.Label}: {line.Name} {Show(point.Value)}</title></circle>""");
        }
    }

    private string Show(double? value) => value is { } number && double.IsFinite(number) ? Format(number) : Numbers.Missing;

    private static void Trace(HtmlWriter page, Axis steps, Axis values, ChartPoint[] run, Func<ChartPoint, double> value, char move)
    {
        foreach (ChartPoint point in run)
        {
            page.Write($"{move.ToString()}{X(steps, point.Step)} {Y(values, value(point))}");
            move = 'L';
        }
    }

    // Splits the points at gaps into runs of points with a value.
    private static IEnumerable<ChartPoint[]> Runs(IReadOnlyList<ChartPoint> points)
    {
        var run = new List<ChartPoint>();
        foreach (ChartPoint point in points)
        {
            if (double.IsFinite(point.Value))
            {
                run.Add(point);
            }
            else if (run.Count > 0)
            {
                yield return [.. run];
                run.Clear();
            }
        }

        if (run.Count > 0)
        {
            yield return [.. run];
        }
    }
}

/// <summary>A line of a chart.</summary>
/// <param name="Name">The name in the legend.</param>
/// <param name="Style">The CSS class that sets color and dashes: s1, s2 or s3.</param>
/// <param name="Points">The points, in the order of the steps.</param>
internal sealed record ChartLine(string Name, string Style, IReadOnlyList<ChartPoint> Points)
{
    /// <summary>The name of the band between low and high; null if there is no band.</summary>
    public string? BandName { get; init; }

    /// <summary>True if each point shows its low and high as a bar.</summary>
    public bool HasWhiskers { get; init; }

    public static ChartLine From(string name, string style, Series series) => new(
        name,
        style,
        [.. series.Buckets.Select(bucket => new ChartPoint(bucket.Center, bucket.Label, bucket.Mean, bucket.Min, bucket.Max))])
    {
        BandName = series.IsJoined ? "lowest to highest" : null,
    };
}

/// <summary>A point of a line.</summary>
/// <param name="Step">The position on the step axis.</param>
/// <param name="Label">The step or range of steps as text.</param>
/// <param name="Value">The value. NaN is a gap.</param>
/// <param name="Low">The lower end of the band.</param>
/// <param name="High">The upper end of the band.</param>
internal readonly record struct ChartPoint(double Step, string Label, double Value, double Low, double High);

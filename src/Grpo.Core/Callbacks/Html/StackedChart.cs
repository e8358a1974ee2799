namespace Grpo.Callbacks;

/// <summary>A chart of stacked bars, one bar per bucket of steps.</summary>
internal sealed class StackedChart : Chart
{
    /// <summary>The layers of the bars, lowest first, with equal buckets.</summary>
    public required IReadOnlyList<(string Name, Series Series)> Layers { get; init; }

    protected override bool HasValues => Layers.Any(layer => layer.Series.HasValues);

    protected override IReadOnlyList<(string Name, string Style)> Legend => [.. Layers.Select((layer, i) => (layer.Name, Style(i)))];

    private IReadOnlyList<Bucket> Buckets => Layers[0].Series.Buckets;

    protected override (Axis Steps, Axis Values) Axes() => (
        Axis.FromSteps(Buckets[0].FirstStep - 0.5, Buckets[^1].LastStep + 0.5),
        Axis.FromValues(Enumerable.Range(0, Buckets.Count).Select(i => Height(i, Layers.Count)), withZero: true));

    protected override void Draw(HtmlWriter page, Axis steps, Axis values)
    {
        for (int layer = 0; layer < Layers.Count; layer++)
        {
            page.Write($"""<path class="area {Style(layer)}" d=" """);
            for (int i = 0; i < Buckets.Count; i++)
            {
                // A few bars are drawn with gaps. Many bars would become too thin.
                double space = Buckets.Count <= 40 ? 0.1 * Buckets[i].Steps : 0;
                double left = X(steps, Buckets[i].FirstStep - 0.5 + space), right = X(steps, Buckets[i].LastStep + 0.5 - space);
                double bottom = Y(values, Height(i, layer)), top = Y(values, Height(i, layer + 1));
                if (bottom - top > 0.005)
                {
                    page.Write($"M{left} {bottom}V{top}H{right}V{bottom}Z");
                }
            }

            page.Write($""" "/>""");
        }
    }

    protected override void WriteTable(HtmlWriter page)
    {
        page.Write($"""<thead><tr><th scope="col">step</th>""");
        foreach ((string name, _) in Layers)
        {
            page.Write($"""<th scope="col">{name}</th>""");
        }

        page.Write($"</tr></thead><tbody>");
        for (int i = 0; i < Buckets.Count; i++)
        {
            page.Write($"""<tr><th scope="row">{Buckets[i].Label}</th>""");
            foreach ((_, Series series) in Layers)
            {
                double mean = series.Buckets[i].Mean;
                page.Write($"<td>{(double.IsFinite(mean) ? Format(mean) : Numbers.Missing)}</td>");
            }

            page.Write($"</tr>");
        }

        page.Write($"</tbody>");
    }

    private double Height(int bucket, int layers) =>
        Layers.Take(layers).Sum(layer => layer.Series.Buckets[bucket] is { Count: > 0 } values ? Math.Max(values.Mean, 0) : 0);

    private static string Style(int layer) => layer switch
    {
        0 => "s1",
        1 => "s3",
        _ => "s2",
    };
}

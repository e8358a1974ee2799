namespace Grpo.Callbacks;

/// <summary>The base class of charts: heading, accessible description, axes, legend, and a table of the numbers.</summary>
internal abstract class Chart
{
    private const int Left = 54;
    private const int Right = 10;
    private const int Top = 10;
    private const int Bottom = 44;
    private const int Width = 440;
    private const int Height = 224;

    /// <summary>The id of the chart in the page, such as chart-reward.</summary>
    public required string Id { get; init; }

    public required string Title { get; init; }

    /// <summary>One or two sentences on the content of the chart and how to read it.</summary>
    public required string Description { get; init; }

    /// <summary>The function that formats a value for the axis and the table.</summary>
    public Func<double, string> Format { get; init; } = value => Numbers.Show(value);

    /// <summary>The sentence that replaces the chart if it has no values.</summary>
    public string Missing { get; init; } = "No step of this run has this number.";

    protected abstract bool HasValues { get; }

    protected abstract IReadOnlyList<(string Name, string Style)> Legend { get; }

    protected abstract (Axis Steps, Axis Values) Axes();

    protected abstract void Draw(HtmlWriter page, Axis steps, Axis values);

    protected abstract void WriteTable(HtmlWriter page);

    public void Write(HtmlWriter page)
    {
        page.Write($"""<figure class="card chart"><figcaption><h3>{Title}</h3><p class="note">{Description}</p></figcaption>""");
        if (HasValues)
        {
            WriteSvg(page);
            WriteLegend(page);
            page.Write($"""<details><summary>Numbers: {Title}</summary><div class="scroll" tabindex="0"><table>""");
            WriteTable(page);
            page.Write($"</table></div></details>");
        }
        else
        {
            page.Write($"""<p class="missing" id="{Id}">{Missing}</p>""");
        }

        page.Write($"</figure>\n");
    }

    protected static double X(Axis steps, double step) => Left + (steps.Position(step) * (Width - Left - Right));

    protected static double Y(Axis values, double value) => Height - Bottom - (values.Position(value) * (Height - Top - Bottom));

    private void WriteLegend(HtmlWriter page)
    {
        if (Legend is not { Count: > 1 } entries)
        {
            return; // the title names a single line
        }

        page.Write($"""<p class="legend">""");
        foreach ((string name, string style) in entries)
        {
            page.Write($"""<span><i class="key {style}"></i>{name}</span> """);
        }

        page.Write($"</p>");
    }

    private void WriteSvg(HtmlWriter page)
    {
        (Axis steps, Axis values) = Axes();
        page.Write(
            $"""<svg id="{Id}" role="img" viewBox="0 0 {Width} {Height}" aria-labelledby="{Id}-title {Id}-desc"><title """
            + $"""id="{Id}-title">{Title}</title><desc id="{Id}-desc">{Description}</desc>""");
        foreach (double tick in values.Ticks)
        {
            double y = Y(values, tick);
            page.Write(
                $"""<path class="grid" d="M{Left} {y}H{Width - Right}"/><text class="tick" x="{Left - 6}" y="{y + 4}" """
                + $"""text-anchor="end">{Format(Math.Abs(tick) < 1e-12 * (values.High - values.Low) ? 0 : tick)}</text>""");
        }

        foreach (double tick in steps.Ticks)
        {
            double x = X(steps, tick);
            page.Write(
                $"""<text class="tick" x="{x}" y="{Height - Bottom + 16}" """
                + $"""text-anchor="{(x > Width - 30 ? "end" : "middle")}">{Numbers.Show(tick)}</text>""");
        }

        page.Write($"""<text class="tick" x="{(Left + Width - Right) / 2}" y="{Height - 6}" text-anchor="middle">step</text>""");
        Draw(page, steps, values);
        page.Write($"</svg>");
    }
}

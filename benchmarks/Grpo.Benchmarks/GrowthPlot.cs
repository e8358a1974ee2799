using System.Globalization;
using System.Text;

namespace Grpo.Benchmarks;

/// <summary>
/// Draws growth as a picture with one panel per axis. Both scales are logarithmic, so linear growth doubles with each doubling.
/// </summary>
internal static class GrowthPlot
{
    private const double PanelWidth = 250, PanelHeight = 200, Left = 52, Top = 26, Gap = 62, Bottom = 62;

    private static readonly (string Name, string Color, Func<GrowthMeasure, double> Value)[] Lines =
    [
        ("rollout, s", "#3b82c4", point => point.Rollout),
        ("update, s", "#c4673b", point => point.Update),
        ("peak memory, GB", "#7a9a3b", point => point.PeakBytes / 1e9),
    ];

    private static readonly Dictionary<string, string> Titles = new()
    {
        ["G"] = "completions of the group (G)",
        ["C"] = "tokens of a completion (C)",
        ["P"] = "tokens of the prompt (P)",
    };

    /// <summary>Returns the picture as self-contained SVG that is legible on light and dark backgrounds.</summary>
    public static string Draw(IReadOnlyList<GrowthMeasure> measures)
    {
        double low = Math.Floor(Math.Log2(measures.Min(point => Lines.Min(line => line.Value(point)))));
        double high = Math.Ceiling(Math.Log2(measures.Max(point => Lines.Max(line => line.Value(point)))));
        IGrouping<string, GrowthMeasure>[] panels = [.. measures.GroupBy(point => point.Point.Axis)];
        var svg = new StringBuilder();
        double width = (panels.Length * (PanelWidth + Gap)) + Left - Gap + 20;
        FormattableString box = $"0 0 {width:F0} {Top + PanelHeight + Bottom:F0}";
        const string Style = "font-family=\"sans-serif\" font-size=\"11\" fill=\"#808080\"";
        Line(svg, $"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"{box}\" {Style}>");
        for (int i = 0; i < panels.Length; i++)
        {
            DrawPanel(svg, Left + (i * (PanelWidth + Gap)), panels[i], low, high);
        }

        for (int i = 0; i < Lines.Length; i++)
        {
            double x = Left + (i * 150), y = Top + PanelHeight + 50;
            string color = Lines[i].Color;
            Line(svg, $"<line x1=\"{x:F0}\" y1=\"{y:F0}\" x2=\"{x + 22:F0}\" y2=\"{y:F0}\" stroke=\"{color}\" stroke-width=\"2\"/>");
            Line(svg, $"<text x=\"{x + 28:F0}\" y=\"{y + 4:F0}\">{Lines[i].Name}</text>");
        }

        return svg.Append("</svg>\n").ToString();
    }

    private static void DrawPanel(StringBuilder svg, double left, IGrouping<string, GrowthMeasure> panel, double low, double high)
    {
        GrowthMeasure[] points = [.. panel];
        double first = Math.Log2(points[0].Point.Value), last = Math.Log2(points[^1].Point.Value);
        Line(svg, $"<text x=\"{left:F0}\" y=\"{Top - 10:F0}\">{Titles[panel.Key]}</text>");
        for (double power = low; power <= high; power++)
        {
            FormattableString ends = $"x1=\"{left:F0}\" x2=\"{left + PanelWidth:F0}\" y1=\"{Y(power):F1}\" y2=\"{Y(power):F1}\"";
            Line(svg, $"<line {ends} stroke=\"#808080\" stroke-opacity=\"0.25\"/>");
            Line(svg, $"<text x=\"{left - 6:F0}\" y=\"{Y(power) + 4:F1}\" text-anchor=\"end\">{Math.Pow(2, power):G3}</text>");
        }

        foreach (GrowthMeasure point in points)
        {
            Line(svg, $"<text x=\"{X(point):F1}\" y=\"{Top + PanelHeight + 18:F0}\" text-anchor=\"middle\">{point.Point.Value}</text>");
        }

        foreach ((_, string color, Func<GrowthMeasure, double> value) in Lines)
        {
            string path = string.Join(
                ' ', points.Select(point => FormattableString.Invariant($"{X(point):F1},{Y(Math.Log2(value(point))):F1}")));
            Line(svg, $"<polyline points=\"{path}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>");
        }

        double X(GrowthMeasure point) => left + ((Math.Log2(point.Point.Value) - first) / (last - first) * PanelWidth);

        double Y(double power) => Top + PanelHeight - ((power - low) / (high - low) * PanelHeight);
    }

    private static void Line(StringBuilder svg, FormattableString text) =>
        svg.Append(text.ToString(CultureInfo.InvariantCulture)).Append('\n');
}

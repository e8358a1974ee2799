using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;

namespace Grpo.Callbacks;

/// <summary>
/// Takes interpolated strings whose literal parts are our markup and whose holes are data: holes are always encoded, so a text from a
/// model cannot become markup by an oversight.
/// </summary>
internal sealed class HtmlWriter
{
    private readonly StringBuilder _html = new();

    public int Length => _html.Length;

    public HtmlWriter Write([InterpolatedStringHandlerArgument("")] ref Fragment fragment) => this; // the fragment wrote itself

    /// <summary>Our own style sheet, the one text that is neither encoded nor part of the code.</summary>
    public void WriteStyle(string css) => _html.Append(css);

    public override string ToString() => _html.ToString();

    [InterpolatedStringHandler]
    public readonly ref struct Fragment
    {
        private readonly StringBuilder _html;

        public Fragment(int literalLength, int formattedCount, HtmlWriter writer)
        {
            _html = writer._html;
            _html.EnsureCapacity(_html.Length + literalLength + (8 * formattedCount));
        }

        public void AppendLiteral(string markup) => _html.Append(markup);

        public void AppendFormatted(string? text) => HtmlText.Append(_html, text);

        public void AppendFormatted(long number) => _html.Append(CultureInfo.InvariantCulture, $"{number}");

        /// <summary>A coordinate: SVG has no NaN, and two digits are less than a pixel.</summary>
        public void AppendFormatted(double coordinate) => _html.Append(
            CultureInfo.InvariantCulture,
            $"{(double.IsFinite(coordinate) ? coordinate : throw new ArgumentException($"A coordinate is {coordinate} but must be finite.", nameof(coordinate))):0.##}");
    }
}

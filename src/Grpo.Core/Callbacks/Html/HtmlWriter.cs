using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;

namespace Grpo.Callbacks;

/// <summary>
/// Writes HTML from interpolated strings. Their literal parts are markup; their interpolated values are always encoded, so that model
/// output can never become markup.
/// </summary>
internal sealed class HtmlWriter
{
    private readonly StringBuilder _html = new();

    public int Length => _html.Length;

    public HtmlWriter Write([InterpolatedStringHandlerArgument("")] ref Fragment fragment) => this; // the fragment wrote itself

    /// <summary>Writes the embedded style sheet, the only text that is neither encoded nor a literal in the code.</summary>
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

        /// <summary>Writes a coordinate with two decimals, less than a pixel. It must be finite, because SVG has no NaN.</summary>
        public void AppendFormatted(double coordinate)
        {
            if (!double.IsFinite(coordinate))
            {
                throw new ArgumentException($"A coordinate is {coordinate} but must be finite.", nameof(coordinate));
            }

            _html.Append(CultureInfo.InvariantCulture, $"{coordinate:0.##}");
        }
    }
}

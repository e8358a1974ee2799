using System.Buffers;
using System.Globalization;
using System.Text;

namespace Grpo.IO;

/// <summary>Escapes text of a model, a data set or a file, so that it is safe to show in a terminal or a log.</summary>
/// <remarks>
/// Escaped, as <c>\u{1B}</c>, are characters that a terminal would obey (control characters, escape sequences), that move other text (bidi
/// marks, line separators), and that cannot be seen or written (zero-width marks, tags, half surrogate pairs). All other characters stay as
/// they are, including joiners inside words and emoji.
/// </remarks>
public static class TerminalText
{
    /// <summary>Escapes a text of several lines. Tabs and line ends stay; each line end becomes <c>\n</c>.</summary>
    /// <param name="text">The text. Null becomes the empty string.</param>
    /// <returns>The text with its dangerous and invisible characters escaped.</returns>
    public static string Escape(string? text) => Escape(text, keepsLines: true);

    /// <summary>Escapes a text into one line. Line ends and tabs are escaped too, so that the text cannot forge a second line.</summary>
    /// <param name="text">The text. Null becomes the empty string.</param>
    /// <returns>One line without dangerous or invisible characters.</returns>
    public static string EscapeLine(string? text) => Escape(text, keepsLines: false);

    /// <summary>True if a character has no shape of its own, as line ends and tabs. Joiners count as letters.</summary>
    internal static bool IsInvisible(Rune rune) => rune.Value is not (0x200C or 0x200D)
        && (Rune.GetUnicodeCategory(rune) is UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.LineSeparator
            or UnicodeCategory.ParagraphSeparator
        || (rune.Value & 0xFFFE) == 0xFFFE || rune.Value is >= 0xFDD0 and <= 0xFDEF or >= 0xE0000 and <= 0xE0FFF); // noncharacters, tags

    private static string Escape(string? text, bool keepsLines)
    {
        if (text is null)
        {
            return string.Empty;
        }

        var shown = new StringBuilder(text.Length);
        for (ReadOnlySpan<char> rest = text; !rest.IsEmpty;)
        {
            bool valid = Rune.DecodeFromUtf16(rest, out Rune rune, out int length) == OperationStatus.Done;
            if (keepsLines && rest.StartsWith("\r\n", StringComparison.Ordinal))
            {
                (shown, length) = (shown.Append('\n'), 2);
            }
            else if (valid && (!IsInvisible(rune) || (keepsLines && rune.Value is ('\n' or '\t'))))
            {
                shown.Append(rest[..length]);
            }
            else
            {
                shown.Append(CultureInfo.InvariantCulture, $"\\u{{{(valid ? rune.Value : rest[0]):X}}}");
            }

            rest = rest[length..];
        }

        return shown.ToString();
    }
}

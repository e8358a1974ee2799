using System.Buffers;
using System.Globalization;
using System.Text;

namespace Grpo.IO;

/// <summary>
/// Text of a model, a data set or a file, made fit for a terminal or a log: what a terminal would obey instead of show (control characters,
/// escape sequences), what moves other text about (bidi marks, line separators) and what cannot be seen or written (zero-width marks, tags, half
/// surrogate pairs) becomes visible, as <c>\u{1B}</c>. All other characters, also joiners inside words and emoji, stay as they are.
/// </summary>
public static class TerminalText
{
    /// <summary>The text in one or more lines: line ends and tabs stay, and each line end becomes <c>\n</c>.</summary>
    /// <param name="text">Any text; null becomes the empty one.</param>
    public static string Escape(string? text) => Escape(text, keepsLines: true);

    /// <summary>The text in one line: line ends and tabs become visible as well, so that no second line can be forged.</summary>
    /// <param name="text">Any text; null becomes the empty one.</param>
    public static string EscapeLine(string? text) => Escape(text, keepsLines: false);

    /// <summary>Whether a character has no shape of its own. Line ends and tabs have none; joiners count as letters.</summary>
    internal static bool IsInvisible(Rune rune) => rune.Value is not (0x200C or 0x200D)
        && (Rune.GetUnicodeCategory(rune) is UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator
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

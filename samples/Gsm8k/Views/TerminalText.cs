using System.Globalization;
using System.Text;

namespace Grpo.Samples.Gsm8k;

/// <summary>What a model wrote, made fit for a terminal: control characters, escapes and marks of direction are shown, not obeyed.</summary>
internal static class TerminalText
{
    public static string Of(string text)
    {
        var shown = new StringBuilder();
        foreach (Rune rune in text.EnumerateRunes()) // a lone surrogate comes as U+FFFD
        {
            bool obeyed = rune.Value != '\n' && Rune.GetUnicodeCategory(rune) is UnicodeCategory.Control or UnicodeCategory.Format
                or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator;
            shown.Append(obeyed ? string.Create(CultureInfo.InvariantCulture, $"\\u{rune.Value:X4}") : rune.ToString());
        }

        return shown.ToString();
    }
}

using System.Globalization;
using System.Text;

namespace Grpo.Models.Qwen.Jinja;

/// <summary>Python's rules for text, which it counts in Unicode code points.</summary>
internal static class PythonText
{
    /// <summary>True for what Python's <c>str.isspace</c> and <c>strip</c> count as whitespace.</summary>
    public static bool IsSpace(char letter) => char.IsWhiteSpace(letter) || letter is >= '\u001C' and <= '\u001F';

    /// <summary>True for the line ends of Python's <c>splitlines</c>. A carriage return may be followed by a line feed.</summary>
    public static bool IsLineEnd(char letter) =>
        letter is '\n' or '\r' or '\v' or '\f' or '\u001C' or '\u001D' or '\u001E' or '\u0085' or '\u2028' or '\u2029';

    public static ReadOnlySpan<char> TrimEnd(ReadOnlySpan<char> text)
    {
        int end = text.Length;
        while (end > 0 && IsSpace(text[end - 1]))
        {
            end--;
        }

        return text[..end];
    }

    public static ReadOnlySpan<char> TrimStart(ReadOnlySpan<char> text)
    {
        int start = 0;
        while (start < text.Length && IsSpace(text[start]))
        {
            start++;
        }

        return text[start..];
    }

    /// <summary>Drops code points of a set at the ends of a text.</summary>
    /// <param name="text">The text.</param>
    /// <param name="characters">The set; null for whitespace.</param>
    /// <param name="start">True to drop at the start.</param>
    /// <param name="end">True to drop at the end.</param>
    public static string Strip(string text, string? characters, bool start, bool end)
    {
        ReadOnlySpan<char> rest = text;
        if (characters is null)
        {
            rest = start ? TrimStart(rest) : rest;
            return (end ? TrimEnd(rest) : rest).ToString();
        }

        HashSet<string> set = [.. CodePoints(characters)];
        while (start && rest.Length > 0 && set.Contains(rest[..LengthAt(rest, 0)].ToString()))
        {
            rest = rest[LengthAt(rest, 0)..];
        }

        while (end && rest.Length > 0 && LengthBefore(rest) is var last && set.Contains(rest[^last..].ToString()))
        {
            rest = rest[..^last];
        }

        return rest.ToString();
    }

    /// <summary>The number of code points.</summary>
    public static int Length(string text)
    {
        int count = text.Length;
        for (int i = 1; i < text.Length; i++)
        {
            count -= char.IsSurrogatePair(text[i - 1], text[i]) ? 1 : 0;
        }

        return count;
    }

    /// <summary>The code points, each as a text.</summary>
    public static List<string> CodePoints(string text)
    {
        var points = new List<string>(text.Length);
        for (int i = 0; i < text.Length;)
        {
            int length = LengthAt(text, i);
            points.Add(text.Substring(i, length));
            i += length;
        }

        return points;
    }

    /// <summary>Splits a text into its lines, without their ends.</summary>
    public static List<string> Lines(string text, bool keepsEnds = false)
    {
        var lines = new List<string>();
        for (int start = 0; start < text.Length;)
        {
            int end = start;
            while (end < text.Length && !IsLineEnd(text[end]))
            {
                end++;
            }

            int next = end == text.Length ? end : end + (text[end] == '\r' && end + 1 < text.Length && text[end + 1] == '\n' ? 2 : 1);
            lines.Add(text[start..(keepsEnds ? next : end)]);
            start = next;
        }

        return lines;
    }

    /// <summary>Compares by code points. UTF-16 orders surrogate pairs before U+E000 to U+FFFF.</summary>
    public static int Compare(string left, string right)
    {
        int length = Math.Min(left.Length, right.Length);
        for (int i = 0; i < length; i++)
        {
            if (left[i] != right[i])
            {
                return Weight(left[i]).CompareTo(Weight(right[i]));
            }
        }

        return left.Length.CompareTo(right.Length);

        static int Weight(char unit) => char.IsSurrogate(unit) ? unit + 0x10000 : unit;
    }

    /// <summary>True if Python prints a code point as it is inside the quotes of <c>repr</c>.</summary>
    public static bool IsPrintable(Rune rune) => rune.Value == ' ' || Rune.GetUnicodeCategory(rune) is not (UnicodeCategory.Control
        or UnicodeCategory.Format or UnicodeCategory.Surrogate or UnicodeCategory.PrivateUse or UnicodeCategory.OtherNotAssigned
        or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator or UnicodeCategory.SpaceSeparator);

    private static int LengthAt(ReadOnlySpan<char> text, int position) =>
        position + 1 < text.Length && char.IsSurrogatePair(text[position], text[position + 1]) ? 2 : 1;

    private static int LengthBefore(ReadOnlySpan<char> text) =>
        text.Length > 1 && char.IsSurrogatePair(text[^2], text[^1]) ? 2 : 1;
}

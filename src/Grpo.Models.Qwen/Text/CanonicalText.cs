using System.Buffers;
using System.Text;

namespace Grpo.Models.Qwen.Text;

/// <summary>Unicode normalization form C, in which the vocabulary of Qwen2 was built: é is one character, however it was typed.</summary>
internal static class CanonicalText
{
    // Every character below U+0300 and in the common punctuation and currency blocks is in form C already, so no tables are needed.
    private static readonly SearchValues<char> AlwaysCanonical = SearchValues.Create(
        [.. Enumerable.Range(0, 0x300).Concat(Enumerable.Range(0x2002, 0x20D0 - 0x2002)).Select(value => (char)value)]);

    // With InvariantGlobalization, string.Normalize silently returns its input.
    private static readonly bool TablesPresent = "e\u0301".Normalize(NormalizationForm.FormC) == "\u00E9";

    /// <summary>Returns <paramref name="text"/> in form C. A lone surrogate, which UTF-8 cannot express, becomes U+FFFD.</summary>
    /// <exception cref="NotSupportedException">The text needs Unicode's tables and the process runs without them.</exception>
    public static string Normalize(string text) => Normalize(text, TablesPresent);

    internal static string Normalize(string text, bool tablesPresent)
    {
        int first = text.AsSpan().IndexOfAnyExcept(AlwaysCanonical);
        if (first < 0)
        {
            return text;
        }

        if (!tablesPresent)
        {
            throw new NotSupportedException(
                $"The text holds U+{(int)text[first]:X4}, and normalizing it needs Unicode's tables, which this process runs without "
                + "(InvariantGlobalization). Set InvariantGlobalization to false in the project and DOTNET_SYSTEM_GLOBALIZATION_INVARIANT "
                + "to 0, and install ICU (libicu) where it is missing; otherwise the model would see other tokens than in training.");
        }

        string scalars = ReplaceLoneSurrogates(text);

        // string.Normalize refuses the noncharacter U+FFFE. Nothing composes across it, so the parts are normalized separately.
        return scalars.Contains('\uFFFE')
            ? string.Join('\uFFFE', scalars.Split('\uFFFE').Select(part => part.Normalize(NormalizationForm.FormC)))
            : scalars.Normalize(NormalizationForm.FormC);
    }

    /// <summary>Returns the text with U+FFFD in place of lone surrogates, which UTF-8 cannot express.</summary>
    public static string ReplaceLoneSurrogates(string text)
    {
        if (!text.AsSpan().ContainsAnyInRange('\uD800', '\uDFFF'))
        {
            return text;
        }

        var builder = new StringBuilder(text.Length);
        foreach (Rune rune in text.EnumerateRunes())
        {
            builder.Append(rune);
        }

        return builder.ToString();
    }
}

using System.Globalization;
using System.Text;
using Grpo.IO;

namespace Grpo.Callbacks;

/// <summary>
/// Encodes text as inert HTML for element content and quoted attributes. Invisible characters (control characters, bidi marks, lone
/// surrogates, zero-width marks) are shown as <c>[U+202E]</c>.
/// </summary>
internal static class HtmlText
{
    public static string Encode(string? text)
    {
        var html = new StringBuilder(text?.Length ?? 0);
        Append(html, text);
        return html.ToString();
    }

    public static void Append(StringBuilder html, ReadOnlySpan<char> text)
    {
        while (!text.IsEmpty)
        {
            bool valid = Rune.DecodeFromUtf16(text, out Rune rune, out int length) == System.Buffers.OperationStatus.Done;
            if (valid)
            {
                Append(html, rune);
            }
            else
            {
                AppendCode(html, text[0]); // half of a surrogate pair: no encoding can write it
            }

            text = text[length..];
        }
    }

    /// <summary>Cuts a text at a length, without encoding it, and appends the number of missing characters.</summary>
    public static string Cut(string text, int characters)
    {
        if (text.Length <= characters)
        {
            return text;
        }

        int end = char.IsHighSurrogate(text[characters - 1]) ? characters - 1 : characters;
        return string.Create(CultureInfo.InvariantCulture, $"{text.AsSpan(0, end)} … ({text.Length - end} more characters)");
    }

    private static void Append(StringBuilder html, Rune rune)
    {
        switch (rune.Value)
        {
            case '&': html.Append("&amp;"); break;
            case '<': html.Append("&lt;"); break;
            case '>': html.Append("&gt;"); break;
            case '"': html.Append("&quot;"); break;
            case '\'': html.Append("&#39;"); break;
            case '\n' or '\t': html.Append((char)rune.Value); break;
            default:
                if (TerminalText.IsInvisible(rune))
                {
                    AppendCode(html, rune.Value);
                }
                else
                {
                    Keep(html, rune);
                }

                break;
        }
    }

    private static void Keep(StringBuilder html, Rune rune)
    {
        Span<char> characters = stackalloc char[2];
        html.Append(characters[..rune.EncodeToUtf16(characters)]);
    }

    private static void AppendCode(StringBuilder html, int code) => html.Append(CultureInfo.InvariantCulture, $"[U+{code:X4}]");
}

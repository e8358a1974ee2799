using System.Globalization;
using System.Text;

namespace Grpo.Models.Qwen.Jinja;

/// <summary>Decodes the escapes of a string by Python's rules.</summary>
internal static class StringEscapes
{
    private const string Letters = "ntrbfva\\'\"";
    private const string Meanings = "\n\t\r\b\f\v\a\\'\"";

    /// <summary>Returns the text of a string. An unknown escape stays as it is.</summary>
    /// <param name="literal">The string without its quotes.</param>
    /// <param name="at">The place of the string.</param>
    /// <exception cref="ChatTemplateException">An escape is cut, beyond Unicode, or a name.</exception>
    public static string Decode(ReadOnlySpan<char> literal, Mark at)
    {
        if (!literal.Contains('\\'))
        {
            return literal.ToString();
        }

        var text = new StringBuilder(literal.Length);
        for (int i = 0; i < literal.Length; i++)
        {
            if (literal[i] != '\\')
            {
                text.Append(literal[i]);
                continue;
            }

            i++; // a backslash is never last: it would have escaped the quote
            char letter = literal[i];
            int known = Letters.IndexOf(letter, StringComparison.Ordinal);
            if (known >= 0)
            {
                text.Append(Meanings[known]);
            }
            else if (letter is 'x' or 'u' or 'U')
            {
                int digits = letter switch { 'x' => 2, 'u' => 4, _ => 8 };
                Append(text, Hexadecimal(literal[(i + 1)..], digits, letter, at), at);
                i += digits;
            }
            else if (letter is >= '0' and <= '7')
            {
                int code = 0, last = Math.Min(i + 3, literal.Length);
                for (; i < last && literal[i] is >= '0' and <= '7'; i++)
                {
                    code = (code * 8) + literal[i] - '0';
                }

                i--;
                text.Append((char)code);
            }
            else if (letter == 'N')
            {
                throw at.Error(@"the escape \N{…} is not supported. Write the character itself, or its number with \u.");
            }
            else if (letter != '\n')
            {
                text.Append('\\').Append(letter);
            }
        }

        return text.ToString();
    }

    private static uint Hexadecimal(ReadOnlySpan<char> rest, int digits, char letter, Mark at) =>
        rest.Length >= digits
        && uint.TryParse(rest[..digits], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out uint code)
            ? code
            : throw at.Error($@"the escape \{letter} needs {digits} hexadecimal digits.");

    private static void Append(StringBuilder text, uint code, Mark at)
    {
        if (code > 0x10FFFF)
        {
            throw at.Error($"the escape \\U{code:x8} is beyond Unicode, whose last character is 0010ffff.");
        }

        _ = code < 0x10000 ? text.Append((char)code) : text.Append(new Rune(code).ToString());
    }
}

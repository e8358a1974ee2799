using System.Globalization;
using System.Text;

namespace Grpo.Fuzz.Tests;

/// <summary>
/// Damages JSON token by token. Most results are still JSON, so they pass the JSON reader and reach the code that interprets them.
/// </summary>
internal static class JsonMutator
{
    private static readonly string[] Values =
    [
        "null", "true", "false", "{}", "[]", "[[]]", "[null]", "[{}]", "{\"a\":null}", "\"\"", "\"a\"", "\"..\"", "\"../x\"",
        "\"/etc/passwd\"", "\"C:\\\\x\"", "\"a\\u0000b\"", "\"\\ud800\"", "\"\\udc00\\ud800\"", "\"\\u202e\\u001b[31m\"",
        "\"\u202E\u2066\u061C\"", "\"\u001b]0;x\u0007\"", "\"\uFEFF\"", "\"<script>\"", "\"NaN\"", "\"Infinity\"", "\"1\"", "0", "-0", "-1",
        "1", "2", "0.5", "-0.0", "1e-400", "1e400", "-1e400", "1e308", "NaN", "Infinity", "127", "128", "255", "256", "65536", "2147483647",
        "2147483648", "-2147483648", "4294967296", "1099511627776", "9007199254740993", "9223372036854775807", "9223372036854775808",
        "-9223372036854775808", "18446744073709551615", "18446744073709551616", "1000000000000000000000000000000",
        "0.1000000000000000000000000000000001", "01", "1.", "+1", "0x10",
    ];

    public static byte[] Mutate(Random random, byte[] bytes)
    {
        List<string> tokens = Split(Encoding.Latin1.GetString(bytes)); // one character per byte, so that nothing is lost
        if (tokens.Count == 0)
        {
            return Encoding.UTF8.GetBytes(Value(random));
        }

        int at = random.Next(tokens.Count);
        int[] values =
            [.. Enumerable.Range(0, tokens.Count).Where(i => tokens[i][0] is '"' or '-' or (>= '0' and <= '9') or 't' or 'f' or 'n')];
        int value = values.Length == 0 ? at : values[random.Next(values.Length)];
        switch (random.Next(12))
        {
            case 0 or 1 or 2:
                tokens[value] = Value(random);
                break;
            case 3:
                tokens[value] = Near(random, tokens[value]);
                break;
            case 4 when values.Length > 0:
                tokens[value] = tokens[values[random.Next(values.Length)]];
                break;
            case 5:
                tokens.RemoveAt(at);
                break;
            case 6:
                tokens.RemoveRange(at, Math.Min(tokens.Count - at, 1 + random.Next(8)));
                break;
            case 7:
                tokens.InsertRange(at, Enumerable.Repeat(
                    tokens[at..Math.Min(tokens.Count, at + 1 + random.Next(8))],
                    random.Next(8) == 0 ? random.Next(300) : 1).SelectMany(copy => copy));
                break;
            case 8:
                int other = random.Next(tokens.Count);
                (tokens[at], tokens[other]) = (tokens[other], tokens[at]);
                break;
            case 9:
                Repeat(random, tokens, value);
                break;
            case 10:
                tokens.Insert(at, random.Next(2) == 0 ? Value(random) : "{}[],:"[random.Next(6)].ToString());
                break;
            default:
                int depth = 1 << random.Next(1, 14);
                tokens[value] = random.Next(2) == 0
                    ? new string('[', depth) + new string(']', depth)
                    : string.Concat(Enumerable.Repeat("{\"a\":", depth)) + "0" + new string('}', depth);
                break;
        }

        return Encoding.Latin1.GetBytes(string.Concat(tokens));
    }

    private static string Value(Random random)
    {
        string value = random.Next(24) switch
        {
            0 => "\"" + new string('a', 1 << random.Next(18)) + "\"",
            1 => "[" + string.Join(',', Enumerable.Repeat(Values[random.Next(Values.Length)], 1 << random.Next(12))) + "]",
            2 => new string('9', 1 << random.Next(12)),
            _ => Values[random.Next(Values.Length)],
        };
        return Encoding.Latin1.GetString(Encoding.UTF8.GetBytes(value));
    }

    private static string Near(Random random, string token) =>
        long.TryParse(token, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number)
            ? random.Next(4) switch
            {
                0 => unchecked(number + 1).ToString(CultureInfo.InvariantCulture),
                1 => unchecked(number - 1).ToString(CultureInfo.InvariantCulture),
                2 => "-" + token.TrimStart('-'),
                _ => token + new string('0', 1 + random.Next(20)),
            }
            : token.Length > 2 ? token.Insert(1 + random.Next(token.Length - 2), random.Next(2) == 0 ? "\\ud9ab" : "\u0080") : token;

    // Repeats a member with the same value or another. Two readers would disagree about it.
    private static void Repeat(Random random, List<string> tokens, int value)
    {
        int key = tokens.FindIndex(value, token => token == ":") - 1;
        if (key < 0)
        {
            return;
        }

        string[] again = [tokens[key], ":", random.Next(2) == 0 ? Value(random) : tokens[Math.Min(tokens.Count - 1, key + 2)], ","];
        tokens.InsertRange(key, again);
    }

    private static List<string> Split(string text)
    {
        List<string> tokens = [];
        for (int i = 0; i < text.Length;)
        {
            int start = i;
            char first = text[i++];
            if (first == '"')
            {
                while (i < text.Length && text[i] != '"')
                {
                    i += text[i] == '\\' ? 2 : 1;
                }

                i = Math.Min(text.Length, i + 1);
            }
            else if (!"{}[],:".Contains(first, StringComparison.Ordinal))
            {
                while (i < text.Length && !"{}[],:\"".Contains(text[i], StringComparison.Ordinal))
                {
                    i++;
                }
            }

            tokens.Add(text[start..i]);
        }

        // White space is a token of its own, so that a number is one token.
        return [.. tokens.SelectMany(token => token[0] == '"' ? [token] : Trimmed(token))];
    }

    private static IEnumerable<string> Trimmed(string token)
    {
        string core = token.Trim();
        int start = core.Length == 0 ? token.Length : token.IndexOf(core, StringComparison.Ordinal);
        return new[] { token[..start], core, token[(start + core.Length)..] }.Where(piece => piece.Length > 0);
    }
}

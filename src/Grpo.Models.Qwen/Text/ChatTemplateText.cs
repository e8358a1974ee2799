using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Grpo.Models.Qwen.Text;

/// <summary>
/// Recognizes the texts of the templates that <see cref="QwenChatTemplate"/> renders, with any default system message,
/// and writes such texts.
/// </summary>
/// <remarks>
/// A template is written in Jinja, which is not executed here. The skeleton of a text is the text without its default system message. A
/// known skeleton renders conversations of system, user and assistant as <see cref="QwenChatTemplate"/> does.
/// </remarks>
internal static class ChatTemplateText
{
    private const string SystemStart = @"<|im_start|>system\n";
    private const string SystemEnd = @"<|im_end|>\n";

    // Precedes Qwen2.5's default system message in the branch for tools, which are not rendered.
    private const string ToolBranch = "{%- else %}\n        {{- ";

    private const string EveryMessage =
        @"{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
            + @"{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

    private const string ChatMl = "{% for message in messages %}" + EveryMessage;
    private const string Qwen2Start = "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ ";
    private const string Qwen2End = " }}{% endif %}" + EveryMessage;

    // SHA-256 of the longer skeletons: they hold more about tools than is rendered here.
    private static readonly HashSet<string> KnownHashes = new(StringComparer.Ordinal)
    {
        "EB2FF99FD8EE10953D73F264A9678C2B0D32B4C0205607B82B5C5A9BC2B791A4",   // Qwen2.5, Qwen2.5-Math, Qwen2.5-Coder and their base models
        // the same with marks around the assistant's text, as TRL saves it
        "62B113ABBD63CCA3101392BE65DEBF296C41D5E75AE0336C731455333A1A0387",
        // ChatML without a default system message that asks whether add_generation_prompt is defined
        "D7B5B8C7B58F7A6BF868AA46A5F73EE976D7292F40FCB9C3E7A1DEFD8D235CFB",
    };

    /// <summary>Returns the template that renders as the text does; null if the text is unknown.</summary>
    internal static QwenChatTemplate? Recognize(string text)
    {
        (string skeleton, List<string> messages) = Split(text);
        if (messages.Distinct(StringComparer.Ordinal).Count() > 1)
        {
            return null;
        }

        bool isKnown = skeleton == Split(ChatMl).Skeleton || skeleton == Split(Write(string.Empty)).Skeleton
            || KnownHashes.Contains(Hash(skeleton));
        string? message = messages.Count == 0 ? null : Unescape(messages[0]);
        return !isKnown || (messages.Count > 0 && message is null) ? null : new QwenChatTemplate(message);
    }

    /// <summary>Returns a Jinja text that renders as a template does. Transformers and <see cref="Recognize"/> read it.</summary>
    /// <param name="defaultSystemMessage">The default system message; null if there is none.</param>
    internal static string Write(string? defaultSystemMessage) => defaultSystemMessage is null
        ? ChatMl
        : $"{Qwen2Start}'{SystemStart}{Escape(defaultSystemMessage)}{SystemEnd}'{Qwen2End}";

    internal static string Hash(string skeleton) => Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes(skeleton)));

    /// <summary>Splits a text into its skeleton and its default system messages. A line break in quotes equals its escape.</summary>
    internal static (string Skeleton, List<string> Messages) Split(string text)
    {
        var messages = new List<string>();
        var skeleton = new StringBuilder(text.Length);
        ReadOnlySpan<char> rest = WithoutLastBreaks(text.Replace("\r\n", "\n", StringComparison.Ordinal).Replace('\r', '\n'));
        while (rest.IndexOfAny('\'', '"') is >= 0 and int start && LengthOfLiteral(rest[start..]) is { } length)
        {
            skeleton.Append(rest[..start]);
            ReadOnlySpan<char> literal = rest.Slice(start + 1, length - 2);
            string body = literal.ToString().Replace("\n", @"\n", StringComparison.Ordinal);
            if (literal.Contains("\\\n", StringComparison.Ordinal))
            {
                skeleton.Append("<a line that goes on>"); // no known text has such a line
            }
            else if (body.Length >= SystemStart.Length + SystemEnd.Length
                && body.StartsWith(SystemStart, StringComparison.Ordinal) && body.EndsWith(SystemEnd, StringComparison.Ordinal))
            {
                messages.Add(body[SystemStart.Length..^SystemEnd.Length]);
                skeleton.Append("<system>");
            }
            else if (EndsWith(skeleton, ToolBranch))
            {
                skeleton.Append("<system for tools>");
            }
            else
            {
                skeleton.Append(rest[start]).Append(body).Append(rest[start]);
            }

            rest = rest[(start + length)..];
        }

        return (skeleton.Append(rest).ToString(), messages);
    }

    // Jinja drops one line break at the end of a text, and one after a block.
    private static ReadOnlySpan<char> WithoutLastBreaks(string text) =>
        text.EndsWith("%}\n\n", StringComparison.Ordinal) ? text.AsSpan(0, text.Length - 2)
        : text.EndsWith('\n') ? text.AsSpan(0, text.Length - 1)
        : text;

    private static int? LengthOfLiteral(ReadOnlySpan<char> text)
    {
        for (int i = 1; i < text.Length; i++)
        {
            if (text[i] == text[0])
            {
                return i + 1;
            }

            i += text[i] == '\\' ? 1 : 0;
        }

        return null;
    }

    private static bool EndsWith(StringBuilder text, string end) =>
        text.Length >= end.Length && text.ToString(text.Length - end.Length, end.Length) == end;

    private static string Escape(string text)
    {
        var escaped = new StringBuilder(text.Length);
        foreach (char letter in text)
        {
            _ = letter switch
            {
                '\\' => escaped.Append(@"\\"),
                '\'' => escaped.Append(@"\'"),
                '\n' => escaped.Append(@"\n"),
                < ' ' or '\u007F' => escaped.Append(CultureInfo.InvariantCulture, $"\\x{(int)letter:x2}"),
                _ => escaped.Append(letter),
            };
        }

        return escaped.ToString();
    }

    /// <summary>Returns the text of a literal by Python's rules; null if it has an escape that is not supported here.</summary>
    private static string? Unescape(string literal)
    {
        var text = new StringBuilder(literal.Length);
        for (int i = 0; i < literal.Length; i++)
        {
            if (literal[i] != '\\')
            {
                text.Append(literal[i]);
                continue;
            }

            i++;
            int digits = i < literal.Length ? literal[i] switch { 'x' => 2, 'u' => 4, _ => 0 } : 0;
            if (digits > 0)
            {
                if (literal.Length - i <= digits
                    || !ushort.TryParse(
                        literal.AsSpan(i + 1, digits), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ushort unit)
                    || char.IsSurrogate((char)unit))
                {
                    return null;
                }

                text.Append((char)unit);
                i += digits;
                continue;
            }

            const string Letters = "ntrbfva\\'\"", Meanings = "\n\t\r\b\f\v\a\\'\"";
            int which = i < literal.Length ? Letters.IndexOf(literal[i], StringComparison.Ordinal) : -1;
            if (which < 0)
            {
                return null;
            }

            text.Append(Meanings[which]);
        }

        return text.ToString();
    }
}

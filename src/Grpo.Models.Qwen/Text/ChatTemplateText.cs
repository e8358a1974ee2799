using System.Globalization;
using System.Text;

namespace Grpo.Models.Qwen.Text;

/// <summary>Writes a <see cref="QwenChatTemplate"/> in Jinja, which transformers and <see cref="JinjaChatTemplate"/> read.</summary>
internal static class ChatTemplateText
{
    private const string SystemStart = @"<|im_start|>system\n";
    private const string SystemEnd = @"<|im_end|>\n";

    private const string EveryMessage =
        @"{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
            + @"{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

    private const string ChatMl = "{% for message in messages %}" + EveryMessage;
    private const string Qwen2Start = "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ ";
    private const string Qwen2End = " }}{% endif %}" + EveryMessage;

    /// <summary>Returns a text that renders as a template does.</summary>
    /// <param name="defaultSystemMessage">The default system message; null if there is none.</param>
    internal static string Write(string? defaultSystemMessage) => defaultSystemMessage is null
        ? ChatMl
        : $"{Qwen2Start}'{SystemStart}{Escape(defaultSystemMessage)}{SystemEnd}'{Qwen2End}";

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
}

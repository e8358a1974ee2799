namespace Grpo.Models.Qwen.Jinja;

/// <summary>The escaping of the filters <c>escape</c> and <c>safe</c>. Templates of chats do not escape on their own.</summary>
internal static class Html
{
    /// <summary>Returns the text of a value, escaped unless it is markup.</summary>
    public static string Escaped(Rendering run, object? value)
    {
        if (value is Markup markup)
        {
            return markup.Text;
        }

        TextBuilder text = run.NewText();
        foreach (char letter in ValueText.Str(run, value))
        {
            _ = letter switch
            {
                '&' => text.Append("&amp;"),
                '<' => text.Append("&lt;"),
                '>' => text.Append("&gt;"),
                '"' => text.Append("&#34;"),
                '\'' => text.Append("&#39;"),
                _ => text.Append(letter),
            };
        }

        return text.ToString();
    }
}

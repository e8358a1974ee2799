using System.Text;
using Grpo.Modeling;

namespace Grpo;

/// <summary>The blocks <c>&lt;think&gt;…&lt;/think&gt;</c>, in which reasoning models think before they answer.</summary>
internal static class ThinkBlocks
{
    private const string Open = "<think>";
    private const string Close = "</think>";

    // The tokens of a prompt that can hold "<think>" and the line breaks after it, even with one token per character.
    private const int LastTokens = 16;

    /// <summary>Returns the text outside of think blocks.</summary>
    /// <remarks>
    /// A block that is not closed runs to the end of the text. An end without a start closes a block that began before the text, so
    /// nothing before it counts.
    /// </remarks>
    /// <param name="text">The text of a completion.</param>
    /// <param name="startsInside">True if the text begins inside a block.</param>
    public static string Remove(string text, bool startsInside)
    {
        if (!startsInside && !text.Contains(Open, StringComparison.Ordinal) && !text.Contains(Close, StringComparison.Ordinal))
        {
            return text;
        }

        var visible = new StringBuilder(text.Length);
        bool isInside = startsInside;
        for (int position = 0; position < text.Length;)
        {
            int close = text.IndexOf(Close, position, StringComparison.Ordinal);
            int length = (close < 0 ? text.Length : close) - position;
            int open = isInside ? -1 : text.IndexOf(Open, position, length, StringComparison.Ordinal);
            if (open >= 0)
            {
                visible.Append(text, position, open - position);
                (isInside, position) = (true, open + Open.Length);
            }
            else if (close >= 0)
            {
                _ = isInside ? visible : visible.Clear();
                (isInside, position) = (false, close + Close.Length);
            }
            else
            {
                _ = isInside ? visible : visible.Append(text, position, text.Length - position);
                break;
            }
        }

        return visible.ToString();
    }

    /// <summary>True if a prompt ends with the start of a block, so that its completions begin inside.</summary>
    public static bool IsOpenAfter(ITokenizer tokenizer, IReadOnlyList<int> promptIds)
    {
        int[] last = [.. promptIds.Skip(Math.Max(0, promptIds.Count - LastTokens))];
        return tokenizer.Decode(last, skipSpecialTokens: false)?.AsSpan().TrimEnd().EndsWith(Open, StringComparison.Ordinal) ?? false;
    }
}

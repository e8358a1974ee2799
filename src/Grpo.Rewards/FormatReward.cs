namespace Grpo.Rewards;

/// <summary>
/// A reward of 1 for completions of the exact form <c>&lt;reasoning&gt;…&lt;/reasoning&gt;&lt;answer&gt;…&lt;/answer&gt;</c>, and of 0 for
/// all others.
/// </summary>
/// <remarks>
/// Each of the four tags must appear once and in this order. Only white space may surround the two blocks, and each block must contain a
/// letter or a digit. Think blocks are ignored. There is no partial credit, so repeated or empty tags earn nothing.
/// </remarks>
public sealed class FormatReward : CompletionReward, IHasIdentity
{
    /// <inheritdoc/>
    public PlugInIdentity Identity { get; } = new("tag format");

    /// <inheritdoc/>
    public override Reward Score(Prompt prompt, Completion completion)
    {
        ArgumentNullException.ThrowIfNull(completion);
        return HasForm(completion.VisibleText) ? 1.0 : 0.0;
    }

    private static bool HasForm(ReadOnlySpan<char> text)
    {
        ReadOnlySpan<char> rest = text.Trim();
        return TakeBlock(ref rest, "<reasoning>", "</reasoning>") && TakeBlock(ref rest, "<answer>", "</answer>") && rest.IsEmpty;
    }

    /// <summary>
    /// Removes one block and the white space after it from the front. False if it is missing, is empty or contains a tag.
    /// </summary>
    private static bool TakeBlock(ref ReadOnlySpan<char> rest, string open, string close)
    {
        if (!rest.StartsWith(open, StringComparison.Ordinal))
        {
            return false;
        }

        rest = rest[open.Length..];
        int end = rest.IndexOf(close, StringComparison.Ordinal);
        if (end < 0)
        {
            return false;
        }

        ReadOnlySpan<char> content = rest[..end];
        rest = rest[(end + close.Length)..].TrimStart();
        return HasLetterOrDigit(content) && !HasTag(content);
    }

    private static bool HasTag(ReadOnlySpan<char> content) =>
        content.Contains("<reasoning>", StringComparison.Ordinal) || content.Contains("</reasoning>", StringComparison.Ordinal)
        || content.Contains("<answer>", StringComparison.Ordinal) || content.Contains("</answer>", StringComparison.Ordinal);

    private static bool HasLetterOrDigit(ReadOnlySpan<char> content)
    {
        foreach (char character in content)
        {
            if (char.IsLetterOrDigit(character))
            {
                return true;
            }
        }

        return false;
    }
}

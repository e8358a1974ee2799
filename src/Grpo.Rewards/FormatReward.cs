namespace Grpo.Rewards;

/// <summary>
/// 1 when the completion is exactly <c>&lt;reasoning&gt;…&lt;/reasoning&gt;&lt;answer&gt;…&lt;/answer&gt;</c>, else 0: each of the four tags
/// once and in this order, white space and nothing else around the two blocks, a letter or digit inside each. There is no partial pay,
/// so neither repeated nor empty tags earn anything.
/// </summary>
public sealed class FormatReward : CompletionReward, IHasIdentity
{
    /// <inheritdoc/>
    public PlugInIdentity Identity { get; } = new("tag format");

    /// <inheritdoc/>
    public override Reward Score(Prompt prompt, Completion completion)
    {
        ArgumentNullException.ThrowIfNull(completion);
        return HasForm(completion.Text) ? 1.0 : 0.0;
    }

    private static bool HasForm(ReadOnlySpan<char> text)
    {
        ReadOnlySpan<char> rest = text.Trim();
        return TakeBlock(ref rest, "<reasoning>", "</reasoning>") && TakeBlock(ref rest, "<answer>", "</answer>") && rest.IsEmpty;
    }

    /// <summary>Takes "open, content, close, white space" off the front; false when it is not there or the content is empty or has a tag.</summary>
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

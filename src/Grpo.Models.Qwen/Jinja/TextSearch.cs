namespace Grpo.Models.Qwen.Jinja;

/// <summary>Finds a part of a text, and counts the characters that it compares.</summary>
/// <remarks>
/// A long part that almost fits at every position costs text × part. Most parts differ early, so only the real work counts.
/// The caller counts the length of the text.
/// </remarks>
internal static class TextSearch
{
    // The runtime searches for a short part in about the time of reading the text.
    private const int HeadLength = 16;

    /// <summary>Returns the first index of a part; -1 if there is none.</summary>
    public static int First(Rendering run, ReadOnlySpan<char> text, ReadOnlySpan<char> part)
    {
        ReadOnlySpan<char> head = Head(part);
        for (int start = 0; start <= text.Length - part.Length; start++)
        {
            int at = text[start..].IndexOf(head);
            start += at;
            if (at < 0 || Fits(run, text[start..], part))
            {
                return at < 0 ? -1 : start;
            }
        }

        return -1;
    }

    /// <summary>Returns the last index of a part; -1 if there is none.</summary>
    public static int Last(Rendering run, ReadOnlySpan<char> text, ReadOnlySpan<char> part)
    {
        ReadOnlySpan<char> head = Head(part);
        for (int last = text.Length - part.Length; last >= 0; last--)
        {
            last = text[..(last + head.Length)].LastIndexOf(head);
            if (last < 0 || Fits(run, text[last..], part))
            {
                return last;
            }
        }

        return -1;
    }

    private static ReadOnlySpan<char> Head(ReadOnlySpan<char> part) => part[..Math.Min(part.Length, HeadLength)];

    private static bool Fits(Rendering run, ReadOnlySpan<char> text, ReadOnlySpan<char> part)
    {
        if (part.Length <= HeadLength)
        {
            return true;
        }

        int same = text.CommonPrefixLength(part);
        run.Step();
        run.Work(same);
        return same == part.Length;
    }
}

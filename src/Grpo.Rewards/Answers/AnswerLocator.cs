using System.Text.RegularExpressions;

namespace Grpo.Rewards.Answers;

/// <summary>Finds the answer in a completion, with one method per <see cref="AnswerFormat"/>, each in time linear in the text.</summary>
internal static partial class AnswerLocator
{
    private const string Hashes = "####";
    private const string Box = @"\boxed";

    public static Gsm8kExtraction InTag(string text)
    {
        const string Open = "<answer>", Close = "</answer>";
        int opens = CountUpToTwo(text, Open, out int open);
        int closes = CountUpToTwo(text, Close, out int close);
        if (opens > 1 || closes > 1)
        {
            return Gsm8kExtraction.Refuse(Gsm8kVerdict.MultipleAnswers);
        }

        if (opens == 0 || closes == 0 || close < open)
        {
            return Gsm8kExtraction.Refuse(Gsm8kVerdict.NoAnswer);
        }

        if (IsReasoningOpen(text.AsSpan(0, open)))
        {
            return Gsm8kExtraction.Refuse(Gsm8kVerdict.OutsideTag);
        }

        return text.AsSpan(close + Close.Length).IsWhiteSpace()
            ? Read(text.AsSpan((open + Open.Length)..close))
            : Gsm8kExtraction.Refuse(Gsm8kVerdict.TrailingText);
    }

    public static Gsm8kExtraction AfterHashMarks(string text)
    {
        int marks = 0, start = 0;
        for (int i = text.IndexOf('#'); i >= 0; i = text.IndexOf('#', i))
        {
            int end = i;
            while (end < text.Length && text[end] == '#')
            {
                end++;
            }

            // Any other number of marks is a heading.
            if (end - i == Hashes.Length)
            {
                marks++;
                start = end;
            }

            i = end;
            if (i == text.Length)
            {
                break;
            }
        }

        if (marks != 1)
        {
            return Gsm8kExtraction.Refuse(marks == 0 ? Gsm8kVerdict.NoAnswer : Gsm8kVerdict.MultipleAnswers);
        }

        int line = text.IndexOf('\n', start);
        if (line >= 0 && !text.AsSpan(line).IsWhiteSpace())
        {
            return Gsm8kExtraction.Refuse(Gsm8kVerdict.TrailingText);
        }

        return Read(text.AsSpan(start..(line < 0 ? text.Length : line))) with { IsOpenEnded = line < 0 };
    }

    public static Gsm8kExtraction InBox(string text)
    {
        if (!TryFindBox(text, 0, out int box, out int start))
        {
            return Gsm8kExtraction.Refuse(Gsm8kVerdict.NoAnswer);
        }

        if (TryFindBox(text, start, out _, out _))
        {
            return Gsm8kExtraction.Refuse(Gsm8kVerdict.MultipleAnswers);
        }

        if (BoxContext.IsPartOfMore(text.AsSpan(0, box)))
        {
            return Gsm8kExtraction.Refuse(Gsm8kVerdict.Unparseable);
        }

        int close = FindClosingBrace(text, start);
        if (close < 0)
        {
            return Gsm8kExtraction.Refuse(Gsm8kVerdict.NoAnswer);
        }

        return MayFollowBox(text.AsSpan(close + 1))
            ? Read(text.AsSpan(start..close))
            : Gsm8kExtraction.Refuse(Gsm8kVerdict.TrailingText);
    }

    private static Gsm8kExtraction Read(ReadOnlySpan<char> candidate)
    {
        NumberReading reading = AnswerNumber.Read(candidate, out ExactNumber number);
        candidate = candidate.Trim();
        string shown = candidate[..Math.Min(candidate.Length, AnswerNumber.MaxCharacters)].ToString();
        return reading switch
        {
            NumberReading.Number => new(number, null, shown),
            NumberReading.Empty => new(null, Gsm8kVerdict.NoAnswer, shown),
            NumberReading.SeveralNumbers => new(null, Gsm8kVerdict.MultipleAnswers, shown),
            NumberReading.NotANumber => new(null, Gsm8kVerdict.Unparseable, shown),
            _ => throw new InvalidOperationException($"Unknown reading {reading}."),
        };
    }

    /// <summary>Counts a tag, with 2 for more than one. <paramref name="first"/> is the index of the first one, or -1.</summary>
    private static int CountUpToTwo(string text, string tag, out int first)
    {
        first = text.IndexOf(tag, StringComparison.Ordinal);
        return first < 0 ? 0 : text.IndexOf(tag, first + tag.Length, StringComparison.Ordinal) < 0 ? 1 : 2;
    }

    /// <summary>Finds the next box, whose content begins at <paramref name="start"/>. LaTeX allows blanks before the brace.</summary>
    private static bool TryFindBox(string text, int from, out int box, out int start)
    {
        for (box = text.IndexOf(Box, from, StringComparison.Ordinal); box >= 0; box = text.IndexOf(Box, start, StringComparison.Ordinal))
        {
            start = box + Box.Length;
            while (start < text.Length && text[start] == ' ')
            {
                start++;
            }

            if (start < text.Length && text[start] == '{')
            {
                start++;
                return true;
            }
        }

        start = text.Length;
        return false;
    }

    private static bool IsReasoningOpen(ReadOnlySpan<char> before) =>
        before.Count("<reasoning>") > before.Count("</reasoning>")
        || before.LastIndexOf("<reasoning>", StringComparison.Ordinal) > before.LastIndexOf("</reasoning>", StringComparison.Ordinal);

    private static int FindClosingBrace(string text, int start)
    {
        int depth = 1;
        for (int i = start; i < text.Length; i++)
        {
            depth += text[i] == '{' ? 1 : text[i] == '}' ? -1 : 0;
            if (depth == 0)
            {
                return i;
            }
        }

        return -1;
    }

    /// <summary>True if a text only ends a formula or sentence, or names a unit on the same line: "\boxed{42}$ apples."</summary>
    private static bool MayFollowBox(ReadOnlySpan<char> rest)
    {
        rest = rest.Trim();
        if (rest.Length > 2 * AnswerNumber.MaxCharacters)
        {
            return false;
        }

        foreach (ValueMatch end in FormulaEnd().EnumerateMatches(rest))
        {
            rest = rest[..end.Index].Trim();
            break;
        }

        if (rest.Length > AnswerNumber.MaxCharacters || !AnswerNumber.TryMakePlain(rest, out string plain))
        {
            return false;
        }

        if (plain.Contains("!!", StringComparison.Ordinal))
        {
            return false;                                       // a double factorial
        }

        plain = plain.Trim().Trim('$', '*', '`', '.', '!', ' ');
        return !plain.Contains('\n', StringComparison.Ordinal) && NumberUnit.IsUnit(" " + plain, hasCurrency: false);
    }

    // "\end{align*}" or "\quad\blacksquare", with the delimiters after them.
    [GeneratedRegex(
        @"(?:(?:\s|\\q?quad|\\[ ,;])*(?:\\end *\{[A-Za-z]+\*?\}|\\(?:blacksquare|square|Box|qed)|[∎■□])(?:\s|\$|\\[\])]|\.)*)+$",
        RegexOptions.NonBacktracking | RegexOptions.CultureInvariant)]
    private static partial Regex FormulaEnd();
}

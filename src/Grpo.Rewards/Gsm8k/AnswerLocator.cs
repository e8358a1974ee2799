namespace Grpo.Rewards;

/// <summary>Finds the place of the answer, one method per <see cref="AnswerFormat"/>. Every method reads the text a fixed number of times.</summary>
internal static class AnswerLocator
{
    private const string Hashes = "####";
    private const string Box = @"\boxed{";

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

            // Another number of marks is a heading.
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
        int boxes = CountUpToTwo(text, Box, out int box);
        if (boxes != 1)
        {
            return Gsm8kExtraction.Refuse(boxes == 0 ? Gsm8kVerdict.NoAnswer : Gsm8kVerdict.MultipleAnswers);
        }

        int start = box + Box.Length;
        int close = FindClosingBrace(text, start);
        if (close < 0)
        {
            return Gsm8kExtraction.Refuse(Gsm8kVerdict.NoAnswer);
        }

        return MayFollowBox(text.AsSpan(close + 1))
            ? Read(text.AsSpan(start..close))
            : Gsm8kExtraction.Refuse(Gsm8kVerdict.TrailingText);
    }

    /// <summary>The last run of digits with the points and commas inside it, a minus sign before it unless that is a subtraction.</summary>
    public static Gsm8kExtraction LastNumber(string text)
    {
        int end = text.Length;
        while (end > 0 && !CharacterFolding.IsDigit(text[end - 1]))
        {
            end--;
        }

        if (end == 0)
        {
            return Gsm8kExtraction.Refuse(Gsm8kVerdict.NoAnswer);
        }

        int start = end - 1;
        while (start > 0 && (CharacterFolding.IsDigit(text[start - 1])
            || (text[start - 1] is '.' or ',' && start > 1 && CharacterFolding.IsDigit(text[start - 2]))))
        {
            start--;
        }

        // ".5" has its point in front of all digits.
        start -= start > 0 && text[start - 1] == '.' && (start == 1 || char.IsWhiteSpace(text[start - 2])) ? 1 : 0;
        bool negative = IsNegative(text.AsSpan(0, start));
        Gsm8kExtraction found = Read(text.AsSpan(start..end)) with { IsOpenEnded = end == text.Length };
        return negative && found.Number is { } number
            ? found with { Number = new ExactNumber(-number.Numerator, number.Denominator), Candidate = "-" + found.Candidate }
            : found;
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

    /// <summary>0, 1, or 2 for more than one; <paramref name="first"/> is where the first stands, or -1.</summary>
    private static int CountUpToTwo(string text, string tag, out int first)
    {
        first = text.IndexOf(tag, StringComparison.Ordinal);
        return first < 0 ? 0 : text.IndexOf(tag, first + tag.Length, StringComparison.Ordinal) < 0 ? 1 : 2;
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

    /// <summary>The end of a formula or sentence, or a unit on the same line: "\boxed{42}$ apples."</summary>
    private static bool MayFollowBox(ReadOnlySpan<char> rest)
    {
        rest = rest.Trim();
        if (rest.Length > AnswerNumber.MaxCharacters || rest.Contains('\n'))
        {
            return false;
        }

        rest = rest.StartsWith(@"\)", StringComparison.Ordinal) || rest.StartsWith(@"\]", StringComparison.Ordinal) ? rest[2..] : rest;
        rest = rest.Trim("$*.! ");
        return rest.IsEmpty || (CharacterFolding.TryFold(rest, out string folded) && NumberUnit.IsUnit(folded));
    }

    /// <summary>A minus sign at the end, a currency aside, that does not follow an operand.</summary>
    private static bool IsNegative(ReadOnlySpan<char> before)
    {
        before = before is [.., var last] && NumberUnit.IsCurrency(last) ? before[..^1] : before;
        if (before is not [.. var head, '-' or '\u2212' or '\u2013' or '\u2014' or '\uFE63' or '\uFF0D'])
        {
            return false;
        }

        return head is not [.., var operand] || !(char.IsLetterOrDigit(operand) || operand is ')' or '}' or ']' or '%');
    }
}

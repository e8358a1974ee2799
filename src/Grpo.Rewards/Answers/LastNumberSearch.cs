namespace Grpo.Rewards.Answers;

/// <summary>
/// Finds the last number of running text in any notation that the other formats read. Refuses it if the text after it changes its value.
/// </summary>
/// <remarks>The search goes backward over pieces of bounded length, so it reads every character a fixed number of times.</remarks>
internal static class LastNumberSearch
{
    // A number has at most 64 characters. The word after it, including LaTeX, rarely has more than 48.
    private const int Before = 96;
    private const int After = 48;

    public static Gsm8kExtraction Find(string text)
    {
        for (int end = text.Length; ;)
        {
            while (end > 0 && !CharacterFolding.IsDigit(text[end - 1]))
            {
                end--;
            }

            if (end == 0)
            {
                return Gsm8kExtraction.Refuse(Gsm8kVerdict.NoAnswer);
            }

            int start = Math.Max(0, end - Before), stop = Math.Min(text.Length, end + After);
            string plain = LatexNotation.ToPlain(CharacterFolding.Fold(text.AsSpan(start..stop)), isRunningText: true, out _);
            if (FindLast(plain) is { } token)
            {
                Gsm8kExtraction found = Judge(plain, token);

                // In a truncated completion, the number or the word that refuses it may continue.
                bool atEnd = token.End == plain.Length || (found.Number is null && NumberUnit.IsOneWord(plain.AsSpan(token.End)));
                return found with { IsOpenEnded = stop == text.Length && atEnd };
            }

            end = start;                                        // only powers of units
        }
    }

    private static Gsm8kExtraction Judge(string plain, Token token)
    {
        ReadOnlySpan<char> before = plain.AsSpan(0, token.Start);
        char currency = before.TrimEnd(' ') is [.., var last] && NumberUnit.IsCurrency(last) ? last : '\0';
        bool negative = IsNegative(before);
        string candidate = plain[token.Start..token.End];
        string shown = (negative ? "-" : "") + candidate[..Math.Min(candidate.Length, AnswerNumber.MaxCharacters)];
        bool isLong = candidate.Length > AnswerNumber.MaxCharacters;
        return token.Number is { } number && !isLong && !IsPartOfMore(before)
            && !NumberUnit.ChangesNumber(plain.AsSpan(token.End), currency)
            ? new Gsm8kExtraction(negative ? new ExactNumber(-number.Numerator, number.Denominator) : number, null, shown)
            : new Gsm8kExtraction(null, Gsm8kVerdict.Unparseable, shown);
    }

    /// <summary>True if a number is the tail of a name or of a product: 0x18, x_18, 2·18.</summary>
    private static bool IsPartOfMore(ReadOnlySpan<char> before)
    {
        if (before.TrimEnd(' ') is [.. var factors, '×' or '·' or '÷'])
        {
            return factors.TrimEnd(' ') is [.., var factor] && (char.IsAsciiDigit(factor) || NumberUnit.IsLetter(factor) || factor == ')');
        }

        before = before is [.. var head, '_'] ? head : before;
        int start = before.Length;
        while (start > 0 && NumberUnit.IsLetter(before[start - 1]))
        {
            start--;
        }

        string word = before[start..].ToString().ToLowerInvariant();
        return word.Length > 0 && (word.Length < 3 || (start > 0 && char.IsAsciiDigit(before[start - 1])))
            && !UnitWords.IsCurrencyCode(word) && word is not ("is" or "to" or "of");
    }

    private static Token? FindLast(string plain)
    {
        Token? last = null;
        for (int i = 0; i < plain.Length;)
        {
            if (!StartsNumber(plain, i))
            {
                i++;
                continue;
            }

            if (IsPower(plain, i))
            {
                i = Math.Max(EndOfRun(plain, i), i + 1);
                continue;
            }

            bool isNumber = NumberScanner.TryScanAt(plain, i, out ExactNumber number, out int end);
            int run = EndOfRun(plain, isNumber ? end : i);
            isNumber &= run == end;                             // neither "1,08" nor the 1 before its comma is a number
            end = Math.Max(run, i + 1);
            last = new Token(i, end, isNumber ? number : null);
            i = end;
        }

        return last;
    }

    // ".5" begins with its decimal point.
    private static bool StartsNumber(string plain, int index) => CharacterFolding.IsDigit(plain[index])
        || (plain[index] == '.' && IsDigit(plain, index + 1) && (index == 0 || char.IsWhiteSpace(plain[index - 1])))
        || plain.AsSpan(index).StartsWith(LatexNotation.Fraction, StringComparison.Ordinal);

    /// <summary>Returns the index after the run of digits at an index, including the points and commas between them.</summary>
    private static int EndOfRun(string plain, int index)
    {
        while (IsDigit(plain, index)
            || (index < plain.Length && plain[index] is '.' or ',' && IsDigit(plain, index - 1) && IsDigit(plain, index + 1)))
        {
            index++;
        }

        return index;
    }

    private static bool IsDigit(string plain, int index) => index >= 0 && index < plain.Length && char.IsAsciiDigit(plain[index]);

    // The 2 in "cm^2" and in "5^2" is not the last number.
    private static bool IsPower(string plain, int index) =>
        plain.AsSpan(0, index) is [.., '^'] or [.., '^', '-' or '+'];

    /// <summary>True if the text ends with a minus sign that does not follow an operand. A currency sign may come after it.</summary>
    private static bool IsNegative(ReadOnlySpan<char> before)
    {
        before = before is [.., var last] && NumberUnit.IsCurrency(last) ? before[..^1] : before;
        return before is [.. var head, '-']
            && !(head is [.., var operand] && (char.IsLetterOrDigit(operand) || operand is ')' or '}' or ']' or '%'));
    }

    /// <summary>A number in plain text. Its value is null if it cannot be read.</summary>
    private readonly record struct Token(int Start, int End, ExactNumber? Number);
}

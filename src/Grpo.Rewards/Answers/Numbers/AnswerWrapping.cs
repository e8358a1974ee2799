using System.Text.RegularExpressions;

namespace Grpo.Rewards.Answers;

/// <summary>Removes what may surround a number: markdown, quotes, the left side of an equation, "the answer is", a period.</summary>
/// <remarks>Nothing is removed from between two digits: "4*2" and "4_2" do not become 42.</remarks>
internal static partial class AnswerWrapping
{
    /// <summary>Removes the wrapping around a number. False if the text cannot be a single number.</summary>
    /// <param name="text">The plain text.</param>
    /// <param name="bare">The trimmed rest of the text.</param>
    public static bool TryUnwrap(string text, out string bare)
    {
        bare = text;
        bool hasProduct = text.TrimEnd().EndsWith('*') && text.IndexOf('*', StringComparison.Ordinal) == text.TrimEnd().Length - 1;
        if (hasProduct || !TryTakeRightSide(ref bare))
        {
            return false;
        }

        bare = DropMarkdown(bare).Trim();
        bare = bare[LeadingPhrase().Match(bare).Length..];
        bare = DropLabel(bare);
        bare = DropStop(bare.TrimEnd());
        bare = IsQuoted(bare) ? DropStop(bare[1..^1].Trim()) : bare;
        return true;
    }

    // "Total cost: 42" has a label, but "about: 42" and "not: 42" express a doubt.
    private static string DropLabel(string text)
    {
        int length = Label().Match(text).Length;
        bool isDoubt = text[..length].Split(' ', ':').Select(word => word.ToLowerInvariant())
            .Any(word => UnitWords.IsDoubtBefore(word) || UnitWords.Multiplies(word) || UnitWords.IsCardinal(word));
        return isDoubt ? text : text[length..];
    }

    private static string DropStop(string text) => text.EndsWith('.') || text.EndsWith('!') ? text[..^1].TrimEnd() : text;

    private static bool IsQuoted(string text) =>
        text is ['"', _, .., '"'] or ['\'', _, .., '\''] or ['“', _, .., '”'] or ['‘', _, .., '’'] or ['«', _, .., '»'];

    /// <summary>Keeps c of "a = b = c" if a and b are names or calculations. False if one of them is another answer.</summary>
    private static bool TryTakeRightSide(ref string text)
    {
        string[] sides = text.Split('=');
        text = sides[^1];
        for (int i = 0; i < sides.Length - 1; i++)
        {
            bool nothingBeforeFirst = i == 0 && string.IsNullOrWhiteSpace(sides[0]);
            if (!nothingBeforeFirst && !NameSide().IsMatch(sides[i]) && !IsCalculation(sides[i]))
            {
                return false;
            }
        }

        return true;
    }

    private static bool IsCalculation(string side) => CalculationSide().IsMatch(side)
        && !side.Contains(", ", StringComparison.Ordinal) && !side.Contains(" or ", StringComparison.OrdinalIgnoreCase);

    private static string DropMarkdown(string text)
    {
        Span<char> buffer = stackalloc char[text.Length];
        for (int i = 0; i < text.Length; i++)
        {
            bool drop = IsMarkdown(text[i]) && !(HasDigitNextTo(text, i, -1) && HasDigitNextTo(text, i, +1));
            buffer[i] = drop ? ' ' : text[i];
        }

        return buffer.ToString();
    }

    private static bool IsMarkdown(char character) => character is '*' or '_' or '`';

    private static bool HasDigitNextTo(string text, int index, int step)
    {
        do
        {
            index += step;
        }
        while (index >= 0 && index < text.Length && (IsMarkdown(text[index]) || text[index] == ' '));

        // A point or comma belongs to a number, unless it ends the sentence: "4.*5", but "**42**."
        int next = text[Math.Clamp(index, 0, text.Length - 1)] is '.' or ',' && step > 0 ? index + 1 : index;
        return next >= 0 && next < text.Length && (char.IsAsciiDigit(text[next]) || text[next] is '.' or ',');
    }

    // A name is words without a digit: "x", "total cost", "**Total** ($)". A tilde before the equals sign would mean "about".
    [GeneratedRegex(@"^[^0-9=<>!?:;≠≈~]*\p{L}[^0-9=<>!?:;≠≈~]*$", RegexOptions.NonBacktracking | RegexOptions.CultureInvariant)]
    private static partial Regex NameSide();

    // A calculation is a number, an operator and another number, with units and brackets between them.
    // "41" and "41 or 43" are answers, not calculations.
    [GeneratedRegex(
        @"^[^0-9=<>!?:;≠≈~]*[0-9][^=<>!?:;≠≈~]*(?:[-+*/×÷·^]|\\[a-zA-Z]|\} *\{|[ 0-9)][xX][ 0-9(])[^=<>!?:;≠≈~]*[0-9][^=<>!?:;≠≈~]*$",
        RegexOptions.NonBacktracking | RegexOptions.CultureInvariant)]
    private static partial Regex CalculationSide();

    [GeneratedRegex(@"^\p{L}{2,}(?: +\p{L}+)* *: *", RegexOptions.NonBacktracking | RegexOptions.CultureInvariant)]
    private static partial Regex Label();

    [GeneratedRegex(@"^(?:(?:so|thus|hence|therefore),? +)?(?:the +)?(?:(?:final|correct) +)?answer(?: +is)?(?: *:)? *",
        RegexOptions.NonBacktracking | RegexOptions.CultureInvariant | RegexOptions.IgnoreCase)]
    private static partial Regex LeadingPhrase();
}

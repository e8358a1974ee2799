using System.Text.RegularExpressions;

namespace Grpo.Rewards;

/// <summary>Takes off what may stand around a number: LaTeX, markdown, the left side of an equation, "the answer is", a full stop.</summary>
/// <remarks>Nothing is removed from between two digits: "4*2", "4_2" and "4\text{2}" do not become 42.</remarks>
internal static partial class AnswerWrapping
{
    private const string Box = @"\boxed{";
    private const string Text = @"\text{";

    /// <summary>False when the text cannot be a single number.</summary>
    /// <param name="text">Folded text.</param>
    /// <param name="bare">What is left, trimmed.</param>
    public static bool TryUnwrap(string text, out string bare)
    {
        bare = text.Replace(@"\$", "$", StringComparison.Ordinal).Replace(@"\%", "%", StringComparison.Ordinal);
        if (!TryOpenBraces(ref bare) || !TryTakeRightSide(ref bare))
        {
            return false;
        }

        bare = DropMarkdown(bare).Trim();
        bare = bare[LeadingPhrase().Match(bare).Length..].TrimEnd();
        if (bare.EndsWith('.') || bare.EndsWith('!'))
        {
            bare = bare[..^1].TrimEnd();
        }

        return true;
    }

    private static bool TryOpenBraces(ref string text)
    {
        while (true)
        {
            // The last opening is the innermost, so its brace is the first to close.
            int start = Math.Max(text.LastIndexOf(Box, StringComparison.Ordinal), text.LastIndexOf(Text, StringComparison.Ordinal));
            if (start < 0)
            {
                return true;
            }

            int open = text.IndexOf('{', start);
            int close = text.IndexOf('}', open);
            if (close < 0)
            {
                return false;
            }

            string before = text[..start];
            string content = text[(open + 1)..close];
            string after = text[(close + 1)..];
            bool touchesDigit = before.TrimEnd() is [.., >= '0' and <= '9'] || after.TrimStart() is [>= '0' and <= '9', ..];
            if (touchesDigit && content.Any(char.IsAsciiDigit))
            {
                return false;
            }

            text = $"{before} {content} {after}";
        }
    }

    /// <summary>Of "a = b = c" keeps c, provided that a and b are names or calculations and not further answers.</summary>
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
        && !side.Contains(", ", StringComparison.Ordinal) && !side.Contains(" or ", StringComparison.Ordinal);

    private static string DropMarkdown(string text)
    {
        Span<char> buffer = stackalloc char[text.Length];
        for (int i = 0; i < text.Length; i++)
        {
            bool drop = IsMarkdown(text[i]) && !(IsDigitBeside(text, i, -1) && IsDigitBeside(text, i, +1));
            buffer[i] = drop ? ' ' : text[i];
        }

        return buffer.ToString();
    }

    private static bool IsMarkdown(char character) => character is '*' or '_' or '`';

    private static bool IsDigitBeside(string text, int index, int step)
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

    // A name: words without a digit, "x", "total cost", "**Total** ($)".
    [GeneratedRegex(@"^[^0-9=<>!?:;≠≈]*\p{L}[^0-9=<>!?:;≠≈]*$", RegexOptions.NonBacktracking | RegexOptions.CultureInvariant)]
    private static partial Regex NameSide();

    // A calculation: a number, then somewhere an operator, then another number; units and brackets may stand between.
    // "41" and "41 or 43" are not calculations but answers.
    [GeneratedRegex(@"^[^0-9=<>!?:;≠≈]*[0-9][^=<>!?:;≠≈]*(?:[-+*/×÷·^]|\\[a-z]|[ 0-9)]x[ 0-9(])[^=<>!?:;≠≈]*[0-9][^=<>!?:;≠≈]*$",
        RegexOptions.NonBacktracking | RegexOptions.CultureInvariant)]
    private static partial Regex CalculationSide();

    [GeneratedRegex(@"^(?:(?:so|thus|hence|therefore),? +)?(?:the +)?(?:(?:final|correct) +)?answer(?: +is)?(?: *:)? *",
        RegexOptions.NonBacktracking | RegexOptions.CultureInvariant)]
    private static partial Regex LeadingPhrase();
}

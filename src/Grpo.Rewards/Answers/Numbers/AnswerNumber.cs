using System.Net;

namespace Grpo.Rewards.Answers;

/// <summary>The outcome of reading a candidate answer as a number.</summary>
internal enum NumberReading
{
    Number,
    Empty,
    SeveralNumbers,
    NotANumber,
}

/// <summary>
/// Reads the one number of a candidate answer. HTML, Unicode and LaTeX become plain text, wrapping is removed, and the rest must be a
/// number with its unit.
/// </summary>
/// <remarks>It takes linear time, reads at most <see cref="MaxCharacters"/> characters, never throws and never evaluates.</remarks>
internal static class AnswerNumber
{
    public const int MaxCharacters = 64;
    public const int MaxDigits = 40;

    public static NumberReading Read(ReadOnlySpan<char> text, out ExactNumber number)
    {
        number = default;
        text = text.Trim();
        if (text.IsEmpty)
        {
            return NumberReading.Empty;
        }

        if (text.Length > MaxCharacters)
        {
            return HasSeveralNumbers(text) ? NumberReading.SeveralNumbers : NumberReading.NotANumber;
        }

        return TryMakePlain(text, out string plain)
            && AnswerWrapping.TryUnwrap(plain, out string bare)
            && NumberScanner.TryScan(bare, out number) ? NumberReading.Number
            : HasSeveralNumbers(plain) ? NumberReading.SeveralNumbers
            : NumberReading.NotANumber;
    }

    /// <summary>Converts the notations of HTML, Unicode and LaTeX into plain text.</summary>
    /// <param name="text">The text. At most <see cref="MaxCharacters"/> characters.</param>
    /// <param name="plain">The plain text.</param>
    /// <returns>False if the text has digits of another script or a brace that is not closed.</returns>
    public static bool TryMakePlain(ReadOnlySpan<char> text, out string plain)
    {
        plain = WebUtility.HtmlDecode(text.ToString());
        if (!CharacterFolding.TryFold(plain, out string folded))
        {
            return false;
        }

        plain = LatexNotation.ToPlain(folded, isRunningText: false, out bool isWhole);
        return isWhole;
    }

    /// <summary>True if the text has two or more runs of digits.</summary>
    /// <remarks>A point, comma, slash or e between two digits does not end a run, and a power does not count as one.</remarks>
    private static bool HasSeveralNumbers(ReadOnlySpan<char> text)
    {
        int runs = 0;
        bool inside = false;
        for (int i = 0; i < text.Length; i++)
        {
            bool digit = CharacterFolding.IsDigit(text[i]);
            bool joins = text[i] is '.' or ',' or '/' or 'e' or 'E' && i + 1 < text.Length && CharacterFolding.IsDigit(text[i + 1]);
            bool power = text[..i] is [.., '^'] or [.., '^', '-'];
            runs += digit && !inside && !power ? 1 : 0;
            inside = digit || (inside && joins);
        }

        return runs > 1;
    }
}

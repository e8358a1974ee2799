namespace Grpo.Rewards;

/// <summary>
/// Reads the one number of a candidate answer: folds characters, takes wrappings and phrases off, then scans what is left.
/// Linear in the text, bounded to <see cref="MaxCharacters"/>, never throws, never evaluates.
/// </summary>
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

        if (text.Length <= MaxCharacters
            && CharacterFolding.TryFold(text, out string folded)
            && AnswerWrapping.TryUnwrap(folded, out string bare)
            && NumberScanner.TryScan(bare, out number))
        {
            return NumberReading.Number;
        }

        return HasSeveralNumbers(text) ? NumberReading.SeveralNumbers : NumberReading.NotANumber;
    }

    /// <summary>Two or more runs of digits; a point, comma, slash or e between two digits does not end a run.</summary>
    private static bool HasSeveralNumbers(ReadOnlySpan<char> text)
    {
        int runs = 0;
        bool inside = false;
        for (int i = 0; i < text.Length; i++)
        {
            bool digit = CharacterFolding.IsDigit(text[i]);
            bool joins = inside && text[i] is '.' or ',' or '/' or 'e' or 'E' && i + 1 < text.Length && CharacterFolding.IsDigit(text[i + 1]);
            runs += digit && !inside ? 1 : 0;
            inside = digit || (inside && joins);
        }

        return runs > 1;
    }
}

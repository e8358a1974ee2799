using System.Globalization;

namespace Grpo.Rewards.Answers;

/// <summary>
/// The part of Unicode's NFKC normalization that matters in numbers: full-width forms, small forms, spaces and minus signs become ASCII.
/// </summary>
/// <remarks>
/// <see cref="string.Normalize()"/> would not do: it throws on broken surrogates, does nothing if the runtime has no ICU, and turns 4² into
/// 42 and 3½ into 31⁄2.
/// </remarks>
internal static class CharacterFolding
{
    private const string SmallForms = "﹐﹒﹗﹢﹦﹩﹪";
    private const string SmallFormsInAscii = ",.!+=$%";

    /// <summary>True for ASCII and full-width digits, the only ones that count as digits.</summary>
    public static bool IsDigit(char character) => char.IsAsciiDigit(character) || character is >= '０' and <= '９';

    /// <summary>
    /// Folds a short text. False if it has a digit of another script, a vulgar fraction, or a character beyond the basic plane.
    /// Superscripts stay.
    /// </summary>
    /// <param name="text">The text. At most <see cref="AnswerNumber.MaxCharacters"/> characters.</param>
    /// <param name="folded">The folded text, as long as the original.</param>
    public static bool TryFold(ReadOnlySpan<char> text, out string folded)
    {
        Span<char> buffer = stackalloc char[AnswerNumber.MaxCharacters];
        for (int i = 0; i < text.Length; i++)
        {
            char character = Fold(text[i]);
            bool isOtherNumber = char.IsNumber(character) && !LatexNotation.IsSuperscript(character);
            if (!char.IsAscii(character) && (isOtherNumber || char.IsSurrogate(character)))
            {
                folded = "";
                return false;
            }

            buffer[i] = character;
        }

        folded = buffer[..text.Length].ToString();
        return true;
    }

    /// <summary>Folds running text, which may contain any character.</summary>
    public static string Fold(ReadOnlySpan<char> text)
    {
        char[] folded = text.ToArray();
        for (int i = 0; i < folded.Length; i++)
        {
            folded[i] = Fold(folded[i]);
        }

        return new string(folded);
    }

    private static char Fold(char character)
    {
        if (character is >= '！' and <= '～')
        {
            character = (char)(character - '！' + '!');
        }

        if (char.IsAscii(character))
        {
            return character;
        }

        int small = SmallForms.IndexOf(character, StringComparison.Ordinal);
        return small >= 0 ? SmallFormsInAscii[small]
            : character == 'μ' ? 'µ'                              // the Greek letter and the sign of the unit
            : character is '\u2212' or '\u2013' or '\u2014' or '\uFE63' ? '-'
            : character is '\u2044' or '\u2215' ? '/'
            : char.GetUnicodeCategory(character) == UnicodeCategory.SpaceSeparator ? ' '
            : character;
    }
}

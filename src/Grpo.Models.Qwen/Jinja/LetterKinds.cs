using System.Globalization;
using System.Text;

namespace Grpo.Models.Qwen.Jinja;

/// <summary>The tests of texts such as <c>isdigit</c> and <c>isupper</c>.</summary>
internal static class LetterKinds
{
    public static bool AreDecimals(string text) => All(text, category => category == UnicodeCategory.DecimalDigitNumber);

    public static bool AreLetters(string text) => All(text, IsLetter);

    /// <summary>True for digits, which for Python include raised ones such as ².</summary>
    public static bool AreDigits(Rendering run, string text) => All(text, category => IsDigit(run, "isdigit", category));

    public static bool AreLettersOrDigits(Rendering run, string text) =>
        All(text, category => IsLetter(category) || IsDigit(run, "isalnum", category));

    public static bool IsLower(string text) => HasCase(text, UnicodeCategory.LowercaseLetter, UnicodeCategory.UppercaseLetter);

    public static bool IsUpper(string text) => HasCase(text, UnicodeCategory.UppercaseLetter, UnicodeCategory.LowercaseLetter);

    /// <summary>True if each word begins with a letter in upper case and goes on in lower case.</summary>
    public static bool IsTitle(string text)
    {
        bool isInside = false, hasWord = false;
        foreach (Rune rune in text.EnumerateRunes())
        {
            bool isLower = Rune.GetUnicodeCategory(rune) == UnicodeCategory.LowercaseLetter, isCased = CaseMapping.IsCased(rune);
            if (isCased && isLower != isInside)
            {
                return false;
            }

            (isInside, hasWord) = (isCased, hasWord || isCased);
        }

        return hasWord;
    }

    private static bool IsLetter(UnicodeCategory category) => category <= UnicodeCategory.OtherLetter;

    // Which numbers beyond the decimal digits are digits for Python is in a table that the runtime does not have.
    private static bool IsDigit(Rendering run, string name, UnicodeCategory category) =>
        category is UnicodeCategory.OtherNumber or UnicodeCategory.LetterNumber
            ? throw run.Error($"'{name}' of a number that is no decimal digit is not supported.")
            : category == UnicodeCategory.DecimalDigitNumber;

    private static bool All(string text, Func<UnicodeCategory, bool> test)
    {
        foreach (Rune rune in text.EnumerateRunes())
        {
            if (!test(Rune.GetUnicodeCategory(rune)))
            {
                return false;
            }
        }

        return text.Length > 0;
    }

    private static bool HasCase(string text, UnicodeCategory wanted, UnicodeCategory other)
    {
        bool hasWanted = false;
        foreach (Rune rune in text.EnumerateRunes())
        {
            UnicodeCategory category = Rune.GetUnicodeCategory(rune);
            if (category == other || category == UnicodeCategory.TitlecaseLetter)
            {
                return false;
            }

            hasWanted |= category == wanted;
        }

        return hasWanted;
    }
}

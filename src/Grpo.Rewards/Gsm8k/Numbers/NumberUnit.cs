using System.Collections.Frozen;
using System.Globalization;

namespace Grpo.Rewards;

/// <summary>What may follow a number: a percent sign, and one phrase of words that is a unit and does not change the number.</summary>
internal static class NumberUnit
{
    // Each of these makes the phrase more than a unit: a second number, a scale, an alternative, a denial.
    private static readonly FrozenSet<string> Refused = FrozenSet.ToFrozenSet(
        [
            "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen",
            "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty",
            "ninety", "hundred", "hundreds", "thousand", "thousands", "million", "millions", "billion", "billions", "trillion", "trillions",
            "k", "mn", "bn", "half", "halves", "squared", "cubed", "factorial", "plus", "minus", "times", "point", "or", "not",
        ],
        StringComparer.Ordinal);

    public static bool IsCurrency(char character) => char.GetUnicodeCategory(character) == UnicodeCategory.CurrencySymbol;

    /// <summary>Whether the rest of the text, after the number, is empty or a unit.</summary>
    /// <param name="rest">Folded text.</param>
    public static bool IsUnit(ReadOnlySpan<char> rest)
    {
        rest = rest.Trim();
        rest = rest.StartsWith('%') ? rest[1..].TrimStart() : rest;
        return rest.IsEmpty || (StartsUnit(rest) && IsPhrase(rest));
    }

    private static bool StartsUnit(ReadOnlySpan<char> rest) =>
        char.IsLetter(rest[0]) || IsCurrency(rest[0]) || rest[0] is '°' or '('
        || (rest[0] == '/' && rest.Length > 1 && char.IsLetter(rest[1]));

    private static bool IsPhrase(ReadOnlySpan<char> phrase)
    {
        int wordStart = 0;
        for (int i = 0; i <= phrase.Length; i++)
        {
            if (i < phrase.Length && IsWordCharacter(phrase[i]))
            {
                continue;
            }

            string word = phrase[wordStart..i].ToString();
            bool opensWithAnd = wordStart == 0 && word == "and";        // "42 and a quarter"
            if (opensWithAnd || Refused.Contains(word) || (i < phrase.Length && !IsSeparator(phrase[i])))
            {
                return false;
            }

            wordStart = i + 1;
        }

        return true;
    }

    private static bool IsWordCharacter(char character) => char.IsLetter(character)
        || char.GetUnicodeCategory(character) is UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark;

    private static bool IsSeparator(char character) =>
        char.IsWhiteSpace(character) || IsCurrency(character) || character is '\'' or '’' or '-' or '/' or '.' or '(' or ')' or '°' or '%';
}

using System.Globalization;

namespace Grpo.Rewards.Answers;

/// <summary>The rule that decides whether the text after a number is a unit or changes the number.</summary>
/// <remarks>
/// A percent sign, a degree or a currency may follow, and then one phrase of words that counts, names or measures. A phrase that could
/// change the number is refused: a scale (thousand, k, dozen, lakh), a part (thirds), a variable (x, π), a power, a calculation, a second
/// number or a doubt.
/// </remarks>
internal static class NumberUnit
{
    private const string ScaleSigns = "‰‱√∛∜\\^×÷";
    private const string ScaleLetters = "万萬千百亿億兆半倍";

    public static bool IsCurrency(char character) =>
        char.GetUnicodeCategory(character) == UnicodeCategory.CurrencySymbol || character is '元' or '円';

    /// <summary>
    /// True for the letters of units. Words in other scripts are not accepted as units, because they might be scales that are not listed.
    /// </summary>
    public static bool IsLetter(char character) =>
        char.IsAsciiLetter(character) || character is '\u03A9' or '\u2126'
        || (character is >= '\u00C0' and <= '\u024F' or >= '\u1E00' and <= '\u1EFF' or 'µ' && char.IsLetter(character));

    /// <summary>True if the rest of a text, after its number, is empty or a unit.</summary>
    /// <param name="rest">The plain text after the number.</param>
    /// <param name="hasCurrency">True if a currency stands before the number: "$5m" is not a length.</param>
    public static bool IsUnit(ReadOnlySpan<char> rest, bool hasCurrency)
    {
        bool glued = rest.Length > 0 && IsLetter(rest[0]);
        rest = rest.Trim();
        rest = rest.StartsWith('%') ? rest[1..].TrimStart() : rest;
        return rest.IsEmpty || (StartsUnit(rest) && new Phrase(rest, glued, hasCurrency).IsUnit());
    }

    /// <summary>
    /// True if the text right after a number in running text changes the number. Only the next word counts: in "42 apples, which is half of
    /// them" the half belongs to another thought.
    /// </summary>
    /// <param name="rest">The plain text after the number.</param>
    /// <param name="currency">The currency sign before the number, or '\0'.</param>
    public static bool ChangesNumber(ReadOnlySpan<char> rest, char currency)
    {
        char sign = rest.TrimStart(' ') is [var start, ..] ? start : ' ';
        ReadOnlySpan<char> word = rest.TrimStart(" %°-/(");
        bool isMoney = currency != '\0' || IsCurrency(sign);
        word = IsCurrency(sign) ? word[1..].TrimStart(' ') : word;
        if (word.IsEmpty)
        {
            return false;
        }

        if (word.StartsWith("!!"))
        {
            return true;
        }

        if (!IsLetter(word[0]))
        {
            // ², ½ and ⅓ are numbers but not digits.
            return ScaleSigns.Contains(word[0], StringComparison.Ordinal) || ScaleLetters.Contains(word[0], StringComparison.Ordinal)
                || word[0] is >= 'Α' and <= 'ω' || (!CharacterFolding.IsDigit(word[0]) && char.IsNumber(word[0]));
        }

        string first = TakeWord(ref word), lower = first.ToLowerInvariant();
        if (lower == "and")
        {
            string article = TakeWord(ref word).ToLowerInvariant();
            bool isCount = article is "a" or "an" || UnitWords.IsCardinal(article);
            return isCount && UnitWords.Multiplies(TakeWord(ref word).ToLowerInvariant());
        }

        // A two-letter word after a blank may be any word of the sentence, and so may "a" and "I": "42 a day", "42 I think".
        bool glued = IsLetter(rest[0]);
        bool isWord = glued ? first.Length > 2 : first.Length > 1 || first is "a" or "A" or "I" || (IsDegree(sign) && first is "C" or "F");
        bool isMillions = lower == "mm" && (isMoney || IsCurrencyNext(word));
        return (UnitWords.Multiplies(lower) && !IsHyphenated(first, word)) || first == "MM" || isMillions
            || (first == "m" && sign != '/' && IsMillion(word, currency, isMoney))
            || !(isWord || IsHyphenated(first, word) || UnitWords.CanBeFirst(first, glued, last: true));
    }

    // "$12 m$" is a formula, but "$12 m" and "12 m €" are money.
    private static bool IsMillion(ReadOnlySpan<char> afterWord, char currency, bool isMoney)
    {
        char next = afterWord.TrimStart(' ') is [var character, ..] ? character : ' ';
        return !(currency == '$' && next == '$') && (isMoney || IsCurrency(next));
    }

    // T-shirts, e-mails, x-rays: the letter belongs to the word after the hyphen.
    private static bool IsHyphenated(string letter, ReadOnlySpan<char> rest)
    {
        if (letter is not ("T" or "t" or "e" or "E" or "x" or "X") || rest is not ['-', var tail, ..] || !IsLetter(tail))
        {
            return false;
        }

        string next = TakeWord(ref rest).ToLowerInvariant();
        return next.Length > 2 && !UnitWords.Multiplies(next);
    }

    private static bool IsCurrencyNext(ReadOnlySpan<char> afterWord) =>
        UnitWords.IsCurrencyCode(TakeWord(ref afterWord).ToLowerInvariant());

    /// <summary>True if a text is one word, not counting blanks before it.</summary>
    public static bool IsOneWord(ReadOnlySpan<char> text)
    {
        text = text.TrimStart(' ');
        TakeWord(ref text);
        return text.IsEmpty;
    }

    private static string TakeWord(ref ReadOnlySpan<char> text)
    {
        text = text.TrimStart(" -");
        int length = 0;
        while (length < text.Length && (IsLetter(text[length])
            || (text[length] is '.' or '\'' or '’' && length + 1 < text.Length && IsLetter(text[length + 1]))))
        {
            length++;
        }

        string word = text[..length].ToString().Replace(".", "", StringComparison.Ordinal);
        text = text[length..];
        return word;
    }

    private static bool StartsUnit(ReadOnlySpan<char> rest) =>
        IsLetter(rest[0]) || IsCurrency(rest[0]) || IsDegree(rest[0]) || rest[0] == '('
        || (rest[0] == '/' && rest[1..].TrimStart(' ') is [var next, ..] && IsLetter(next));

    private static bool IsDegree(char character) => character is '°' or '℃' or '℉';

    /// <summary>The phrase after a number, read word by word.</summary>
    private ref struct Phrase(ReadOnlySpan<char> text, bool glued, bool hasCurrency)
    {
        private readonly ReadOnlySpan<char> _text = text;
        private bool _hasCurrency = hasCurrency;
        private int _position;
        private string _before = "";
        private string _firstWord = "";

        public bool IsUnit()
        {
            foreach (char character in _text)
            {
                _hasCurrency |= IsCurrency(character);
            }

            while (_position < _text.Length)
            {
                char character = _text[_position];
                bool taken = IsLetter(character) ? TakeWord() : character == '^' ? TakePower() : TakeSeparator(character);
                if (!taken)
                {
                    return false;
                }
            }

            return true;
        }

        private bool TakeWord()
        {
            int start = _position;
            while (_position < _text.Length && IsInWord(_text[_position]))
            {
                _position++;
            }

            bool first = _before.Length == 0 && start == 0;
            string word = _text[start.._position].ToString().Replace(".", "", StringComparison.Ordinal);
            string lower = word.ToLowerInvariant();
            string next = NextWord();
            bool isUnit = (lower is "squared" or "cubed" && UnitWords.TakesPowers(_before))
                || (word is "C" or "F" && _before == "°")
                || IsHyphenated(word, _text[_position..])
                || (IsFirst
                    ? UnitWords.CanBeFirst(word, glued && first, next.Length == 0) && !IsMillion(word, next)
                    : UnitWords.CanFollow(word, _before, next.Length == 0) && !(lower == "the" && IsPowerAhead()));
            _firstWord = _firstWord.Length == 0 ? lower : _firstWord;
            _before = lower;
            return isUnit;
        }

        private readonly bool IsFirst => _before is "" or "°";

        // "5 m" and "5 m long" are lengths, but "$5m" and "5m people" are millions.
        private readonly bool IsMillion(string word, string next) =>
            (word == "m" && (_hasCurrency || (next.Length > 0 && _text[_position] == ' ' && !UnitWords.FollowsLength(next))))
            || (word == "mm" && (_hasCurrency || UnitWords.IsCurrencyCode(next) || next == "dollars"));

        // "18 to the third" is a power, but "18 to the store" is not.
        private readonly bool IsPowerAhead() => _before == "to" && _firstWord == "to"
            && NextWord() is var next && (next is "power" or "nth" || UnitWords.Multiplies(next));

        private readonly string NextWord()
        {
            ReadOnlySpan<char> rest = _text[_position..];
            int start = 0;
            while (start < rest.Length && !IsLetter(rest[start]))
            {
                start++;
            }

            rest = rest[start..];
            return NumberUnit.TakeWord(ref rest).ToLowerInvariant();
        }

        // Units may have powers: cm^2, m^3, s^-1.
        private bool TakePower()
        {
            ReadOnlySpan<char> power = _text[(_position + 1)..];
            int length = power is ['2' or '3', ..] ? 1 : power is ['-', '1' or '2', ..] ? 2 : 0;
            _position += 1 + length;
            return length > 0 && UnitWords.TakesPowers(_before) && !(_position < _text.Length && char.IsLetterOrDigit(_text[_position]));
        }

        private bool TakeSeparator(char character)
        {
            _position++;
            _before = IsDegree(character) ? "°" : char.IsWhiteSpace(character) || (_before.Length == 0 && character != '/') ? _before : "-";
            return char.IsWhiteSpace(character) || IsCurrency(character) || IsDegree(character)
                || character is '\'' or '’' or '-' or '/' or '·' or '.' or '(' or ')' or '%';
        }

        private static bool IsInWord(char character) => IsLetter(character) || character is '.' or '\'' or '’'
            || char.GetUnicodeCategory(character) is UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark;
    }
}

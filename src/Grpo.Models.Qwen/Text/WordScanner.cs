using System.Globalization;
using System.Text;
using Microsoft.ML.Tokenizers;

namespace Grpo.Models.Qwen.Text;

/// <summary>
/// Splits text into the words inside which byte pairs are merged, exactly as a tokenizer's regular expression does, in linear time.
/// </summary>
/// <remarks>
/// It is a scanner and not a <see cref="System.Text.RegularExpressions.Regex"/>. .NET classifies UTF-16 units, so a letter or digit outside
/// the basic plane (𠮷, 𝟙, 𐍈) would count as punctuation and get other ids than in training. The alternatives below are in the
/// expression's order.
/// </remarks>
internal sealed class WordScanner(WordRules rules) : PreTokenizer
{
    private enum Kind : byte
    {
        Other,
        Letter,
        Number,
        Space,
        NewLine,
    }

    private static readonly Kind[] AsciiKinds = [.. Enumerable.Range(0, 128).Select(value => Classify(new Rune(value)))];

    public override IEnumerable<(int Offset, int Length)> PreTokenize(string text) => PreTokenize(text.AsSpan());

    public override IEnumerable<(int Offset, int Length)> PreTokenize(ReadOnlySpan<char> text)
    {
        var words = new List<(int Offset, int Length)>(text.Length / 4 + 1);
        for (int start = 0; start < text.Length;)
        {
            int end = EndOfWord(text, start);
            words.Add((start, end - start));
            start = end;
        }

        return words;
    }

    /// <summary>Returns the end of the word that starts at <paramref name="start"/>. Words cover the text without gaps.</summary>
    public int EndOfWord(ReadOnlySpan<char> text, int start)
    {
        Kind first = KindAt(text, start, out int width);
        int second = start + width;
        bool isSpace = text[start] == ' ';

        // (?i:'s|'t|'re|'ve|'m|'ll|'d)
        if (text[start] == '\'' && ContractionLength(text[second..]) is > 0 and int contraction)
        {
            return second + contraction;
        }

        // [^\r\n\p{L}\p{N}]?\p{L}+ or  ?\p{L}+
        bool mayLead = rules.AnyCharacterLeads ? first is Kind.Other or Kind.Space : isSpace;
        if (first == Kind.Letter || (mayLead && IsAt(text, second, Kind.Letter)))
        {
            return SkipWhile(text, second, Kind.Letter);
        }

        // \p{N}, \p{N}{1,3} or  ?\p{N}+
        if (first == Kind.Number)
        {
            return EndOfNumber(text, start);
        }

        if (isSpace && rules is { SpaceLeadsNumber: true, NumbersApart: false } && IsAt(text, second, Kind.Number))
        {
            return EndOfNumber(text, second);
        }

        //  ?[^\s\p{L}\p{N}]+[\r\n]*
        if (first == Kind.Other || (isSpace && IsAt(text, second, Kind.Other)))
        {
            int end = SkipWhile(text, second, Kind.Other);
            return rules.EndsAtLineBreaks ? SkipWhile(text, end, Kind.NewLine) : end;
        }

        return EndOfWhiteSpace(text, start);
    }

    /// <summary>
    /// Matches <c>\s*[\r\n]+|\s+(?!\S)|\s+</c>: up to the last line break of the run; else all but its last character,
    /// which starts the next word.
    /// </summary>
    private int EndOfWhiteSpace(ReadOnlySpan<char> text, int start)
    {
        int end = start;
        int afterLastBreak = start;
        Kind next = Kind.Space;
        for (; end < text.Length; end++)
        {
            next = KindAt(text, end, out _);
            if (next == Kind.NewLine)
            {
                afterLastBreak = end + 1;
            }
            else if (next != Kind.Space)
            {
                break;
            }
        }

        if (rules.EndsAtLineBreaks && afterLastBreak > start)
        {
            return afterLastBreak;
        }

        bool endsText = end == text.Length || (rules.NumbersApart && next == Kind.Number);
        return endsText || end == start + 1 ? end : end - 1;
    }

    private int EndOfNumber(ReadOnlySpan<char> text, int position)
    {
        for (int count = 0; count < rules.LongestNumber && position < text.Length; count++)
        {
            if (KindAt(text, position, out int width) != Kind.Number)
            {
                break;
            }

            position += width;
        }

        return position;
    }

    private static bool IsAt(ReadOnlySpan<char> text, int position, Kind kind) =>
        position < text.Length && KindAt(text, position, out _) == kind;

    private static int SkipWhile(ReadOnlySpan<char> text, int position, Kind kind)
    {
        while (position < text.Length && KindAt(text, position, out int width) == kind)
        {
            position += width;
        }

        return position;
    }

    // U+017F, the long s, folds to s: a case-insensitive expression follows Unicode's simple folding.
    private int ContractionLength(ReadOnlySpan<char> afterApostrophe)
    {
        if (afterApostrophe.IsEmpty)
        {
            return 0;
        }

        char first = Fold(afterApostrophe[0]);
        if (first is 's' or 't' or 'm' or 'd')
        {
            return 1;
        }

        return afterApostrophe.Length > 1
            && (first, Fold(afterApostrophe[1])) is ('r', 'e') or ('v', 'e') or ('l', 'l') ? 2 : 0;

        char Fold(char letter) => !rules.FoldsContractions ? letter : letter == '\u017F' ? 's' : char.ToLowerInvariant(letter);
    }

    private static Kind KindAt(ReadOnlySpan<char> text, int position, out int width)
    {
        char unit = text[position];
        if (unit < 128)
        {
            width = 1;
            return AsciiKinds[unit];
        }

        // A lone surrogate decodes to U+FFFD with width 1. It counts as punctuation, like the U+FFFD that is encoded instead.
        Rune.DecodeFromUtf16(text[position..], out Rune rune, out width);
        return Classify(rune);
    }

    private static Kind Classify(Rune rune)
    {
        if (rune.Value is '\r' or '\n')
        {
            return Kind.NewLine;
        }

        if (Rune.IsWhiteSpace(rune))
        {
            return Kind.Space;
        }

        return Rune.GetUnicodeCategory(rune) switch
        {
            UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.TitlecaseLetter
                or UnicodeCategory.ModifierLetter or UnicodeCategory.OtherLetter => Kind.Letter,
            UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber => Kind.Number,
            _ => Kind.Other,
        };
    }
}

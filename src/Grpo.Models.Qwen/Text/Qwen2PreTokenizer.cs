using System.Globalization;
using System.Text;
using Microsoft.ML.Tokenizers;

namespace Grpo.Models.Qwen.Text;

/// <summary>
/// Splits text into the words inside which byte pairs are merged, exactly as Qwen2's regular expression does, in linear time.
/// </summary>
/// <remarks>
/// It is a scanner and not a <see cref="System.Text.RegularExpressions.Regex"/>. .NET classifies UTF-16 units, so a letter or digit outside
/// the basic plane (𠮷, 𝟙, 𐍈) would count as punctuation and get other ids than in training. The alternatives below are in the
/// expression's order.
/// </remarks>
internal sealed class Qwen2PreTokenizer : PreTokenizer
{
    /// <summary>The expression that this scanner implements, as in <c>tokenizer.json</c>.</summary>
    public const string Pattern =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    public static Qwen2PreTokenizer Instance { get; } = new();

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
    public static int EndOfWord(ReadOnlySpan<char> text, int start)
    {
        Kind first = KindAt(text, start, out int width);
        int second = start + width;

        // (?i:'s|'t|'re|'ve|'m|'ll|'d)
        if (text[start] == '\'' && ContractionLength(text[second..]) is > 0 and int contraction)
        {
            return second + contraction;
        }

        // [^\r\n\p{L}\p{N}]?\p{L}+
        if (first == Kind.Letter
            || (first is Kind.Other or Kind.Space && second < text.Length && KindAt(text, second, out _) == Kind.Letter))
        {
            return SkipWhile(text, second, Kind.Letter);
        }

        // \p{N}
        if (first == Kind.Number)
        {
            return second;
        }

        //  ?[^\s\p{L}\p{N}]+[\r\n]*
        if (first == Kind.Other
            || (text[start] == ' ' && second < text.Length && KindAt(text, second, out _) == Kind.Other))
        {
            return SkipWhile(text, SkipWhile(text, second, Kind.Other), Kind.NewLine);
        }

        return EndOfWhiteSpace(text, start);
    }

    /// <summary>
    /// Matches <c>\s*[\r\n]+|\s+(?!\S)|\s+</c>: up to the last line break of the run; else all but its last character,
    /// which starts the next word.
    /// </summary>
    private static int EndOfWhiteSpace(ReadOnlySpan<char> text, int start)
    {
        int end = start;
        int afterLastBreak = start;
        for (; end < text.Length; end++)
        {
            Kind kind = KindAt(text, end, out _);
            if (kind == Kind.NewLine)
            {
                afterLastBreak = end + 1;
            }
            else if (kind != Kind.Space)
            {
                break;
            }
        }

        if (afterLastBreak > start)
        {
            return afterLastBreak;
        }

        return end == text.Length || end == start + 1 ? end : end - 1;
    }

    private static int SkipWhile(ReadOnlySpan<char> text, int position, Kind kind)
    {
        while (position < text.Length && KindAt(text, position, out int width) == kind)
        {
            position += width;
        }

        return position;
    }

    // U+017F, the long s, folds to s: the expression is case-insensitive by Unicode's simple folding.
    private static int ContractionLength(ReadOnlySpan<char> afterApostrophe)
    {
        if (afterApostrophe.IsEmpty)
        {
            return 0;
        }

        char first = char.ToLowerInvariant(afterApostrophe[0]);
        if (first is 's' or 't' or 'm' or 'd' or '\u017F')
        {
            return 1;
        }

        return afterApostrophe.Length > 1
            && (first, char.ToLowerInvariant(afterApostrophe[1])) is ('r', 'e') or ('v', 'e') or ('l', 'l') ? 2 : 0;
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

using System.Globalization;
using System.Text;

namespace Grpo.Models.Qwen.Jinja;

/// <summary>Upper and lower case by Python's rules.</summary>
/// <remarks>A letter whose other case is several letters, other than ß, is refused: the runtime has no table of them.</remarks>
internal static class CaseMapping
{
    /// <summary>Converts to upper case.</summary>
    public static string Upper(Rendering run, string text) => Map(run, text, (rune, _) => UpperOf(run, rune));

    /// <summary>Converts to lower case.</summary>
    public static string Lower(Rendering run, string text) => Map(run, text, (rune, i) => LowerOf(run, rune, text, i));

    /// <summary>Converts each word to lower case with a first letter in upper case.</summary>
    public static string Title(Rendering run, string text)
    {
        bool isInside = false;
        return Map(run, text, (rune, i) =>
        {
            string mapped = isInside ? LowerOf(run, rune, text, i) : TitleOf(run, rune);
            isInside = IsCased(rune);
            return mapped;
        });
    }

    /// <summary>Converts to lower case with a first letter in upper case.</summary>
    public static string Capitalize(Rendering run, string text) =>
        Map(run, text, (rune, i) => i == 0 ? TitleOf(run, rune) : LowerOf(run, rune, text, i));

    /// <summary>Exchanges upper and lower case.</summary>
    public static string Swap(Rendering run, string text) => Map(run, text, (rune, i) =>
        Rune.GetUnicodeCategory(rune) == UnicodeCategory.UppercaseLetter ? LowerOf(run, rune, text, i) : UpperOf(run, rune));

    /// <summary>Converts for a comparison that ignores case.</summary>
    public static string Fold(Rendering run, string text) => Map(run, text, (rune, _) =>
        rune.IsAscii ? Rune.ToLowerInvariant(rune).ToString()
            : throw run.Error($"'casefold' of U+{rune.Value:X4} is not supported. Use 'lower'."));

    /// <summary>True for letters that have an upper and a lower case.</summary>
    public static bool IsCased(Rune rune) => Rune.GetUnicodeCategory(rune) is UnicodeCategory.UppercaseLetter
        or UnicodeCategory.LowercaseLetter or UnicodeCategory.TitlecaseLetter;

    private static string Map(Rendering run, string text, Func<Rune, int, string> map)
    {
        TextBuilder result = run.NewText();
        for (int i = 0; i < text.Length;)
        {
            bool isValid = Rune.DecodeFromUtf16(text.AsSpan(i), out Rune rune, out int length) == System.Buffers.OperationStatus.Done;
            if (isValid)
            {
                run.Charge(12);
                result.Append(map(rune, i));
            }
            else
            {
                result.Append(text[i]);
            }

            i += length;
        }

        return result.ToString();
    }

    private static string UpperOf(Rendering run, Rune rune) => rune.Value switch
    {
        'ß' => "SS",
        'ı' => "I",
        'ſ' => "S",
        'µ' => "Μ",
        _ => HasSpecialUpper(rune.Value) ? throw Unsupported(run, rune) : Rune.ToUpperInvariant(rune).ToString(),
    };

    private static string TitleOf(Rendering run, Rune rune) => rune.Value switch
    {
        'ß' => "Ss",
        >= 0x1C4 and <= 0x1CC or >= 0x1F1 and <= 0x1F3 or >= 0x10D0 and <= 0x10FF => throw Unsupported(run, rune),
        _ => UpperOf(run, rune),
    };

    private static string LowerOf(Rendering run, Rune rune, string text, int at) => rune.Value switch
    {
        'Σ' => IsFinal(text, at) ? "ς" : "σ",
        'İ' => "i\u0307",
        0x2126 => "ω",
        0x212A => "k",
        0x212B => "å",
        0x1E9E => "ß",
        _ => Rune.ToLowerInvariant(rune).ToString(),
    };

    // Letters whose upper case is more than one letter: ligatures, Greek with an iota below, and a few others.
    private static bool HasSpecialUpper(int code) => code is 0x149 or 0x1F0 or 0x390 or 0x3B0 or 0x587 or (>= 0x1E96 and <= 0x1E9A)
        or (>= 0x1F50 and <= 0x1F56) or (>= 0x1F80 and <= 0x1FFC) or (>= 0xFB00 and <= 0xFB17);

    private static ChatTemplateException Unsupported(Rendering run, Rune rune) =>
        run.Error($"the upper case of U+{rune.Value:X4} is not supported.");

    // A sigma at the end of a word: a letter precedes it, and none follows.
    private static bool IsFinal(string text, int at)
    {
        int before = at - 1, after = at + 1;
        while (before >= 0 && IsIgnored(text[before]))
        {
            before--;
        }

        while (after < text.Length && IsIgnored(text[after]))
        {
            after++;
        }

        return before >= 0 && char.IsLetter(text[before]) && !(after < text.Length && char.IsLetter(text[after]));
    }

    private static bool IsIgnored(char letter) => letter is '\'' or '.' or ':' or '·' or '’'
        || CharUnicodeInfo.GetUnicodeCategory(letter) is UnicodeCategory.NonSpacingMark or UnicodeCategory.Format;
}

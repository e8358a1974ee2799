using System.Text;

namespace Grpo.Models.Qwen.Tests.Text;

/// <summary>Texts from a seed that hold what tokenizers treat differently: scripts, numbers, white space, marks, added tokens.</summary>
internal sealed class RandomTexts(int seed, IReadOnlyList<string> specialTokens)
{
    private static readonly string[] Words =
        ["the", "The", "apples", "HOW", "many", "naïve", "Straße", "x", "is", "don", "we", "Привет", "κόσμε", "नमस्ते", "שלום", "مرحبا",
            "ภาษาไทย", "日本語", "中文字", "한국어", "𠮷野家", "𐍈𐌰𐍃", "𝒜𝓫𝕔", "İstanbul", "ǆ"];

    private static readonly string[] Contractions =
        ["'s", "'S", "'\u017F", "'t", "'T", "'re", "'RE", "'Re", "'rE", "'ve", "'VE", "'m", "'M", "'ll", "'LL", "'lL", "'d", "'D", "'",
            "’s", "'x", "''s", "'r", "'l"];

    private static readonly string[] Blanks =
        [" ", "  ", "   ", "\t", "\n", "\r", "\r\n", "\n\n", " \n", "\n ", "\u00A0", "\u3000", "\u2028", "\u0085", "\u1680", "\u000B",
            "\u200B", "\uFEFF", "\u180E", "\u001C", "\0"];

    private static readonly string[] Marks =
        ["e\u0301", "e\u0301\u0323", "a\u030A", "\u212B", "\u1100\u1161\u11A8", "\uAC00\u11A8", "\u0958", "\uFB01", "\u0301",
            "q\u0307\u0323", "\u2126", "\U0001D15E", "\u0344", "\u2ADC"];

    private static readonly string[] Emoji =
        ["🙂", "👩‍👩‍👧", "👍🏽", "🇩🇪", "❤️", "1️⃣", "🧮", "©", "™", "\u200D", "\uFE0F", "\U0001F9EE\U0001F3FF"];

    private static readonly string[] Numerals = ["٣", "५", "½", "Ⅷ", "²", "𝟙", "௰", "〇", "①", "𐒠", "໓", "߉"];

    private static readonly string[] Code =
        ["for (int i = 0; i < n; i++) {\n\treturn x[i];\n}", "if a == b:\n    print(f\"{a!r}\")\n", "<div class=\"x\">&amp;</div>",
            "https://a.b/c?d=e#f", "SELECT * FROM t;--", "λx.x → x", "\\frac{1}{2}", "\u001b[0m", "<|im_", "|>", "<|endoftext", "```\n"];

    private static readonly (int First, int Last)[] Blocks =
        [(0x20, 0x7E), (0, 0x2FF), (0x300, 0x36F), (0x370, 0x52F), (0x590, 0x6FF), (0x900, 0xDFF), (0xE00, 0xEFF), (0x1100, 0x11FF),
            (0x1E00, 0x20CF), (0x2100, 0x2BFF), (0x3000, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xF900, 0xFDFF), (0xFE00, 0xFFFF),
            (0x10000, 0x10FFF), (0x1D000, 0x1D7FF), (0x1F000, 0x1FAFF), (0x20000, 0x2FA1F), (0xE0000, 0xE01EF), (0xF0000, 0x10FFFF)];

    private readonly Random _random = new(seed);

    /// <summary>Returns the next text: mostly a few dozen characters, rarely with a word of thousands.</summary>
    public string Next()
    {
        var text = new StringBuilder();
        int pieces = _random.Next(24);
        for (int i = 0; i < pieces; i++)
        {
            text.Append(Piece());
        }

        if (_random.Next(50) == 0)
        {
            text.Append(LongWord());
        }

        return text.ToString();
    }

    private string Piece() => _random.Next(16) switch
    {
        0 or 1 => Any(Words),
        2 or 3 => " " + Any(Words),
        4 => Any(Words) + Any(Contractions),
        5 => Any(Contractions),
        6 => Repeated(Any(Blanks), 4),
        7 => Any(Blanks),
        8 => Digits(),
        9 => Repeated(Any(Numerals), 4),
        10 => Any(Marks),
        11 => Any(Emoji),
        12 => Any(Code),
        13 => specialTokens.Count > 0 && _random.Next(2) == 0 ? Any(specialTokens) : Repeated(Scalar((0x21, 0x2F)), 5),
        14 => Scalar(Blocks[_random.Next(Blocks.Length)]) + Scalar(Blocks[_random.Next(Blocks.Length)]),
        _ => Scalar((0x20, 0x7E)) + Scalar((0x20, 0x7E)) + Scalar((0x20, 0x7E)),
    };

    private string Digits() => string.Concat(Enumerable.Range(0, _random.Next(1, 13)).Select(_ => (char)('0' + _random.Next(10))));

    private string LongWord()
    {
        string unit = _random.Next(3) switch { 0 => Any(Words), 1 => Any(Numerals), _ => Scalar(Blocks[_random.Next(Blocks.Length)]) };
        return string.Concat(Enumerable.Repeat(unit, _random.Next(200, 3000) / unit.Length));
    }

    private string Repeated(string unit, int most) => string.Concat(Enumerable.Repeat(unit, _random.Next(1, most + 1)));

    private string Scalar((int First, int Last) block)
    {
        int value = _random.Next(block.First, block.Last + 1);
        return char.IsSurrogate((char)Math.Min(value, 0xFFFF)) ? "s" : char.ConvertFromUtf32(value);
    }

    private string Any(IReadOnlyList<string> values) => values[_random.Next(values.Count)];
}

using System.Runtime.InteropServices;

namespace Grpo.Fuzz.Tests;

/// <summary>
/// Damages the text of a model or a person with marks that the readers look for in wrong places, and with unexpected characters.
/// </summary>
internal static class TextMutator
{
    private const int MostCharacters = 100_000;

    private static readonly string[] Pieces =
    [
        "<answer>", "</answer>", "<reasoning>", "</reasoning>", "####", "#### ", "#", "\\boxed{", "{", "}", "$", "\\$", "\\frac{1}{2}",
        "\\text{", "\\,", "**", "_", "`", "=", "==", "≈", "+", "-", "−", "–", "*", "×", "/", "^", "%", "°", ",", ".", "...", ":", ";", "(",
        ")", " ", "\t", "\n", "\r\n", "\u00A0", "\u2009", "\u200B", "\u202E", "\u2066", "\u2028", "\u0000", "\u001b[31m", "\uFEFF",
        "\uD83D", "\uDE00", "😀", "e\u0301", "0", "1", "42", "1,080", "1 080", "1.080,00", "1e9", "1e999", "1e-999", "0.1", ".5", "3 1/2",
        "1/0", "1/3", "-0", "٣", "४", "２", "²", "½", "Ⅷ", "五", "NaN", "Infinity", "<|im_end|>", "<|im_start|>", "<|endoftext|>", "<script>",
        "answer is ", "so the final answer is: ", "x = ", "twelve", "dozen", "million", "apples", "dollars and 50 cents", "per hour",
        "hello", "Ġ", "Å", "ﷺ", "가", "(Low=0.2, High=0.28)", "(Low=", "=1e400", "clipped", "sequence", "group-normalized", "https://",
        "http://127.0.0.1", "../", "/", "\\", "~", "hf_", "@", "?a=b", "a--b", "..",
    ];

    public static byte[] Mutate(Random random, byte[] utf16) => Mutate(random, utf16, Pieces);

    public static byte[] Mutate(Random random, byte[] utf16, string[] pieces)
    {
        ReadOnlySpan<char> text = MemoryMarshal.Cast<byte, char>(utf16);
        int at = random.Next(text.Length + 1), length = Math.Min(text.Length - at, random.Next(1 << random.Next(1, 10)));
        string piece = pieces[random.Next(pieces.Length)];
        string changed = random.Next(8) switch
        {
            0 or 1 or 2 => string.Concat(text[..at], piece, text[at..]),
            3 => string.Concat(text[..at], text[(at + length)..]),
            4 => string.Concat(text[..at], text.Slice(at, length).ToString() + text.Slice(at, length).ToString(), text[(at + length)..]),
            5 => string.Concat(text[..at], piece, text[(at + length)..]),
            6 when random.Next(12) == 0 => string.Concat(
                text[..at], string.Concat(Enumerable.Repeat(piece, 1 << random.Next(16))), text[at..]),
            7 => string.Concat(text[..at], ((char)random.Next(0x10000)).ToString(), text[at..]),
            _ => string.Concat(
                text[..at], string.Concat(Enumerable.Range(0, random.Next(20)).Select(_ => pieces[random.Next(pieces.Length)])),
                text[at..]),
        };
        return [.. MemoryMarshal.AsBytes(changed.AsSpan(0, Math.Min(changed.Length, MostCharacters)))];
    }
}

using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Xunit.Abstractions;

namespace Grpo.Models.Qwen.Tests.Text;

/// <summary>Compares ids with those of Hugging Face's tokenizers (Tokenizers.DotNet), for a vocabulary of each family.</summary>
/// <remarks>
/// GRPO_TOKENIZER_TEXTS=20000 compares that many random texts for each family, and every character of Unicode. Without it a hundredth.
/// </remarks>
public sealed class SecondTokenizerTests(ITestOutputHelper output)
{
    private const int Short = 200;

    private static readonly int Count = int.TryParse(
        Environment.GetEnvironmentVariable("GRPO_TOKENIZER_TEXTS"), NumberStyles.None, CultureInfo.InvariantCulture, out int asked)
        ? asked
        : Short;

    public static TheoryData<string> Kinds => [.. SecondTokenizer.Kinds.Keys];

    [SecondTokenizerTheory]
    [MemberData(nameof(Kinds))]
    public void Encode_and_Decode_equal_the_second_implementation(string kind)
    {
        using SecondTokenizer second = SecondTokenizer.Create(kind);
        QwenTokenizer own = second.Own;
        var texts = new RandomTexts(seed: 20_260, second.AddedTexts);
        var failures = new List<string>();
        long tokens = 0, characters = 0, start = Stopwatch.GetTimestamp();
        for (int i = 0; i < Count && failures.Count < 5; i++)
        {
            string text = texts.Next();
            int[] expected = second.Encode(text);
            IReadOnlyList<int> actual = own.Encode(text);
            if (!own.PrefixTokenIds.Concat(actual).SequenceEqual(expected))
            {
                failures.Add(
                    $"text {i}, {JsonSerializer.Serialize(text)}: [{string.Join(' ', actual)}], not [{string.Join(' ', expected)}]");
            }

            string decoded = own.Decode(actual);
            if (second.IsLossless(text) && decoded != second.Decode(actual))
            {
                failures.Add($"text {i}, {JsonSerializer.Serialize(text)}: decoded as {JsonSerializer.Serialize(decoded)}");
            }

            (tokens, characters) = (tokens + actual.Count, characters + text.Length);
        }

        output.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"| {kind} | {Count} | {characters} | {tokens} | {Stopwatch.GetElapsedTime(start).TotalSeconds:F1} |"));
        Assert.Empty(failures);
    }

    // The two could have tables of different versions of Unicode, which would show here.
    [SecondTokenizerTheory]
    [MemberData(nameof(Kinds))]
    public void Encode_equals_the_second_implementation_for_single_characters(string kind)
    {
        using SecondTokenizer second = SecondTokenizer.Create(kind);
        int step = Math.Max(1, 100 * Short / Count);
        var different = new List<string>();
        int compared = 0;
        for (int value = 0; value < 0x110000; value += value < 0x80 ? 1 : step, compared++)
        {
            if (value is >= 0xD800 and < 0xE000)
            {
                continue;
            }

            string letter = char.ConvertFromUtf32(value);
            string text = $"a{letter}a {letter}1{letter}1\n{letter}";
            if (!second.Own.PrefixTokenIds.Concat(second.Own.Encode(text)).SequenceEqual(second.Encode(text)))
            {
                different.Add(value.ToString("X4", CultureInfo.InvariantCulture));
            }
        }

        output.WriteLine($"{kind}: {compared} characters");
        Assert.Empty(different);
    }

    [SecondTokenizerTheory]
    [MemberData(nameof(Kinds))]
    public void Decode_of_EncodeUntrusted_is_the_normalized_text(string kind)
    {
        using SecondTokenizer second = SecondTokenizer.Create(kind);
        var texts = new RandomTexts(seed: 31_900, second.AddedTexts);
        for (int i = 0; i < Count; i++)
        {
            string text = texts.Next();
            string normalized = second.Pipeline.Normalize(text);
            if (second.IsLossless(normalized))
            {
                Assert.Equal(normalized, second.Own.Decode(second.Own.EncodeUntrusted(text), skipSpecialTokens: false));
            }
        }
    }
}

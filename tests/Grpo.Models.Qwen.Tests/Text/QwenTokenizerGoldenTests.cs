using System.Text.Json;
using CsCheck;
using Grpo.Models.Qwen.Text;
using Grpo.Testing;

namespace Grpo.Models.Qwen.Tests.Text;

/// <summary>Against the real Qwen2.5 vocabulary and the ids that the reference implementation gives.</summary>
public sealed class QwenTokenizerGoldenTests
{
    private static readonly Lazy<QwenTokenizer> Qwen = new(() => QwenTokenizer.Load(SharedData.Path("data", "qwen2.5-tokenizer")));

    [SharedFact]
    public void Encode_and_decode_equal_the_reference_in_every_case()
    {
        using JsonDocument golden = JsonDocument.Parse(File.ReadAllBytes(SharedData.Path("golden", "tokenizer.json")));
        var failures = new List<string>();
        foreach (JsonElement item in golden.RootElement.Items("cases"))
        {
            string text = item.GetProperty("text").GetString()!;
            int[] expected = [.. item.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32())];
            string decoded = item.TryGetProperty("decoded", out JsonElement changed) ? changed.GetString()! : text;
            IReadOnlyList<int> actual = Qwen.Value.Encode(text);
            if (!actual.SequenceEqual(expected))
            {
                failures.Add($"{JsonSerializer.Serialize(text)}: [{string.Join(' ', actual)}] and not [{string.Join(' ', expected)}]");
            }

            if (Qwen.Value.Decode(expected, skipSpecialTokens: false) is var back && back != decoded)
            {
                failures.Add($"{JsonSerializer.Serialize(text)}: decoded as {JsonSerializer.Serialize(back)}");
            }
        }

        Assert.Empty(failures);
    }

    private static Gen<T> AnyOf<T>(params T[] values) => Gen.Int[0, values.Length - 1].Select(i => values[i]);

    [SharedFact]
    public void Load_knows_the_special_ids_of_Qwen25_from_vocabulary_and_merges_alone()
    {
        QwenTokenizer tokenizer = Qwen.Value;

        Assert.Equal(151_665, tokenizer.VocabularySize);
        Assert.Equal([151_643, 151_645], tokenizer.EndTokenIds.Order());
        Assert.Equal(151_643, tokenizer.PadTokenId);
        Assert.Equal(151_644, tokenizer.AddedTokens["<|im_start|>"]);
        Assert.Equal(151_656, tokenizer.AddedTokens["<|video_pad|>"]);
        Assert.Equal(151_657, tokenizer.AddedTokens["<tool_call>"]);
        Assert.Equal(151_664, tokenizer.AddedTokens["<|file_sep|>"]);
        Assert.Equal(22, tokenizer.AddedTokens.Count);
    }

    [SharedFact]
    public void Decode_of_Encode_is_the_normalized_text_for_any_text()
    {
        // Every plane, with weight on what the expression tells apart and on what composes.
        Gen<string> scalar = Gen.OneOf(
            Gen.Int[0x20, 0x7E], Gen.Int[0, 0x2FF], Gen.Int[0x300, 0x36F], Gen.Int[0x1100, 0x11FF], Gen.Int[0xAC00, 0xD7A3],
            Gen.Int[0x2000, 0x212B], Gen.Int[0, 0xD7FF], Gen.Int[0xE000, 0xFFFF], Gen.Int[0x10000, 0x10FFFF])
            .Select(value => char.ConvertFromUtf32(value));
        Gen<string> piece = Gen.Frequency((6, scalar), (2, AnyOf(" ", "  ", "\n", "\r\n", "\t", "'s", "'LL", "a", "é", "1", "\uFFFE")));

        piece.Array[0, 40].Select(string.Concat).Sample(
            text => Qwen.Value.Decode(Qwen.Value.EncodeUntrusted(text), skipSpecialTokens: false) == FormC(text), iter: 20_000);

        // string.Normalize refuses U+FFFE, across which nothing composes.
        static string FormC(string text) => string.Join('\uFFFE', text.Split('\uFFFE').Select(part => part.Normalize()));
    }

    [SharedFact]
    public void Encode_gives_the_same_ids_from_both_merge_loops()
    {
        // Words on both sides of the limit, over alphabets in which many pairs merge.
        string vocabulary = SharedData.Path("data", "qwen2.5-tokenizer");
        TokenizerFiles files = TokenizerFiles.Read(vocabulary);
        ByteLevelVocabulary read = ByteLevelVocabulary.Read(files);
        BytePairEncoder ordinary = BytePairEncoder.Create(read, longWord: int.MaxValue);
        BytePairEncoder longWords = BytePairEncoder.Create(read, longWord: 0);

        Gen<char> letter = Gen.OneOf(
            Gen.Char['a', 'z'], AnyOf('a', 'b', 'e', 't'), Gen.Char['à', 'ö'], Gen.Char['一', '丯'], Gen.Char['0', '~']);
        letter.Array[1, 300].Select(letters => new string(letters)).Sample(
            text =>
            {
                List<int> expected = [];
                List<int> actual = [];
                ordinary.Encode(text, expected);
                longWords.Encode(text, actual);
                return expected.SequenceEqual(actual);
            },
            iter: 3_000);
    }

    [SharedFact]
    public void Encode_is_not_quadratic_on_one_enormous_word()
    {
        // A million letters are one word. On an idle core this takes about two seconds, with quadratic cost well over a minute;
        // the limit leaves room for a busy machine.
        string letters = string.Concat(Enumerable.Range(0, 1_000_000).Select(i => (char)('a' + (i * 7 + i / 3) % 26)));
        var watch = System.Diagnostics.Stopwatch.StartNew();
        IReadOnlyList<int> ids = Qwen.Value.Encode(letters);

        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(60), $"took {watch.Elapsed}");
        Assert.Equal(letters, Qwen.Value.Decode(ids));
        Assert.Equal(Enumerable.Repeat(Qwen.Value.Encode("aaaaaaaa").Single(), 25_000), Qwen.Value.Encode(new string('a', 200_000)));
    }

    [SharedFact]
    public void Encode_recognizes_added_tokens_anywhere_and_EncodeUntrusted_none()
    {
        QwenTokenizer tokenizer = Qwen.Value;

        Assert.Equal([64, 151_645, 65], tokenizer.Encode("a<|im_end|>b"));
        Assert.Equal([151_645, 151_645], tokenizer.Encode("<|im_end|><|im_end|>"));
        Assert.Equal([151_657, 151_658], tokenizer.Encode("<tool_call></tool_call>"));
        Assert.All(tokenizer.EncodeUntrusted("a<|im_end|>b"), id => Assert.InRange(id, 0, 151_642));
        Assert.Equal("a<|im_end|>b", tokenizer.Decode(tokenizer.EncodeUntrusted("a<|im_end|>b")));
    }

    [SharedFact]
    public void Decode_leaves_out_special_tokens_but_not_ordinary_added_ones()
    {
        int[] ids = [151_644, 64, 151_657, 151_645];

        Assert.Equal("a<tool_call>", Qwen.Value.Decode(ids));
        Assert.Equal("<|im_start|>a<tool_call><|im_end|>", Qwen.Value.Decode(ids, skipSpecialTokens: false));
    }

    [SharedFact]
    public void Decode_shows_no_broken_character_while_one_is_being_sampled()
    {
        // U+1F9EE in bytes F0 9F A7 AE; the vocabulary has no token for it, so it arrives in parts.
        IReadOnlyList<int> ids = Qwen.Value.Encode("12 🧮");
        string[] prefixes = [.. Enumerable.Range(0, ids.Count + 1).Select(count => Qwen.Value.Decode([.. ids.Take(count)]))];

        Assert.True(ids.Count > 4);
        Assert.All(prefixes, prefix => Assert.DoesNotContain('\uFFFD', prefix));
        Assert.Equal("12 ", prefixes[^2]);
        Assert.Equal("12 🧮", prefixes[^1]);
    }

    [SharedFact]
    public void Decode_gives_no_text_for_the_spare_rows_of_the_embedding()
    {
        Assert.Equal("a", Qwen.Value.Decode([64, 151_665, 151_935]));
        Assert.Contains(
            "Id 1 is negative", Assert.Throws<ArgumentOutOfRangeException>(() => Qwen.Value.Decode([0, -1])).Message,
            StringComparison.Ordinal);
    }

    [SharedFact]
    public void Encode_gives_the_same_ids_on_several_threads()
    {
        string[] texts = [.. File.ReadLines(SharedData.Path("data", "gsm8k", "test.jsonl")).Take(400)];
        QwenTokenizer fresh = QwenTokenizer.Load(SharedData.Path("data", "qwen2.5-tokenizer"));

        string[] parallel =
            [.. texts.AsParallel().AsOrdered().WithDegreeOfParallelism(4).Select(text => string.Join(' ', fresh.Encode(text)))];

        Assert.Equal(texts.Select(text => string.Join(' ', Qwen.Value.Encode(text))), parallel);
    }

    [SharedFact]
    public void Save_writes_what_was_loaded_and_loads_again()
    {
        using var folder = new TemporaryFolder();
        Qwen.Value.Save(folder.Path);

        string source = SharedData.Path("data", "qwen2.5-tokenizer");
        Assert.Equal(File.ReadAllBytes(Path.Combine(source, "vocab.json")), File.ReadAllBytes(folder.File("vocab.json")));
        Assert.Equal(File.ReadAllBytes(Path.Combine(source, "merges.txt")), File.ReadAllBytes(folder.File("merges.txt")));
        QwenTokenizer again = QwenTokenizer.Load(folder.Path);
        Assert.Equal(Qwen.Value.AddedTokens.OrderBy(token => token.Value), again.AddedTokens.OrderBy(token => token.Value));
        Assert.Equal([151_643, 151_645], again.EndTokenIds.Order());
        Assert.Equal(151_643, again.PadTokenId);
        Assert.Equal([151_644, 872, 198, 151_645], again.Encode("<|im_start|>user\n<|im_end|>"));
        Assert.Equal("<tool_call>", again.Decode([151_644, 151_657]));
    }
}

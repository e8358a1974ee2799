using CsCheck;
using Grpo.Models.Qwen.Text;
using Grpo.Testing;

namespace Grpo.Models.Qwen.Tests.Text;

public sealed class BpeTrainerTests
{
    [Fact]
    public void Train_merges_the_most_frequent_pair_first_and_smallest_ids_among_equals()
    {
        // Words: low, low and low after a space (Ġ), lot after a space. l|o occurs 4 times; then Ġ|lo and lo|w 3 times each, and Ġ (220) is
        // below lo (256); then Ġlo|w 2; then lo|w and Ġlo|t once, and lo is below Ġlo (257).
        using var folder = new TemporaryFolder();
        BpeTrainer.Train(["low low low lot"], 256 + 3 + 4).Save(folder.Path);

        Assert.Equal("#version: 0.2\nl o\nĠ lo\nĠlo w\nlo w\n", File.ReadAllText(folder.File("merges.txt")));
    }

    [Fact]
    public void Train_numbers_bytes_then_merges_then_special_tokens()
    {
        QwenTokenizer tokenizer = BpeTrainer.Train(["low low low lot"], 262);

        Assert.Equal(262, tokenizer.VocabularySize);
        Assert.Equal(0, tokenizer.Encode("!").Single());
        Assert.Equal([256, 86], tokenizer.Encode("low"));                // lo, w
        Assert.Equal([258], tokenizer.Encode(" low"));
        Assert.Equal([260, 64, 261], tokenizer.Encode("<|im_start|>a<|im_end|>"));
        Assert.Equal([259, 261], tokenizer.EndTokenIds.Order());
        Assert.Equal(259, tokenizer.PadTokenId);
    }

    [Fact]
    public void Train_gives_the_same_files_for_the_same_texts_in_any_order()
    {
        string[] texts = ["Tom has 12 apples.", "Anna has 7 pears and 3 apples.", "How many apples do they have?",
            "They have 15 apples in all."];
        using var first = new TemporaryFolder();
        using var second = new TemporaryFolder();
        BpeTrainer.Train(texts, 290).Save(first.Path);
        BpeTrainer.Train(texts.Reverse(), 290).Save(second.Path);

        foreach (string name in (string[])["vocab.json", "merges.txt", "tokenizer_config.json"])
        {
            Assert.Equal(File.ReadAllText(first.File(name)), File.ReadAllText(second.File(name)));
        }
    }

    [Fact]
    public void Train_makes_a_tokenizer_that_loads_with_the_same_ids()
    {
        QwenTokenizer trained = BpeTrainer.Train(
            ["<|im_start|>user\nHow many apples?<|im_end|>\n", "She has 12 apples, she's happy."], 280);
        using var folder = new TemporaryFolder();
        trained.Save(folder.Path);
        QwenTokenizer loaded = QwenTokenizer.Load(folder.Path);

        Assert.Equal(trained.AddedTokens.OrderBy(token => token.Value), loaded.AddedTokens.OrderBy(token => token.Value));
        Assert.Equal(trained.EndTokenIds.Order(), loaded.EndTokenIds.Order());
        Gen.String.Sample(text => trained.Encode(text).SequenceEqual(loaded.Encode(text)), iter: 500);
    }

    [Theory]
    [InlineData(TokenizerKind.Qwen2, "vocab.json", 4)]
    [InlineData(TokenizerKind.Llama3, "tokenizer.json", 2)]        // 123, 4
    [InlineData(TokenizerKind.SmolLM2, "tokenizer.json", 4)]
    [InlineData(TokenizerKind.Gpt2, "tokenizer.json", 1)]
    public void Train_saves_each_kind_so_that_it_loads_with_the_same_ids(TokenizerKind kind, string file, int tokensOf1234)
    {
        QwenTokenizer trained = BpeTrainer.Train(
            Enumerable.Repeat("1234\n1234\n1234\nShe has 123 apples, she'S happy. e\u0301\n\n", 10), 275, kind: kind);
        using var folder = new TemporaryFolder();
        trained.Save(folder.Path);
        QwenTokenizer loaded = QwenTokenizer.Load(folder.Path);

        Assert.True(File.Exists(folder.File(file)));
        Assert.Equal(tokensOf1234, loaded.Encode("1234").Count);
        Assert.Equal(trained.Identity.Kind, loaded.Identity.Kind);
        Assert.Equal(trained.Identity.Facts, loaded.Identity.Facts);
        Assert.Equal(trained.PrefixTokenIds, loaded.PrefixTokenIds);
        Assert.Equal(trained.AddedTokens.OrderBy(token => token.Value), loaded.AddedTokens.OrderBy(token => token.Value));
        Gen.String.Sample(text => trained.Encode(text).SequenceEqual(loaded.Encode(text)), iter: 300);
    }

    [Fact]
    public void Train_names_the_tokens_of_Llama_3s_chats()
    {
        QwenTokenizer tokenizer = BpeTrainer.Train(["low low low"], 256 + 5 + 2, kind: TokenizerKind.Llama3);

        Assert.Equal([258], tokenizer.PrefixTokenIds);
        Assert.Equal([258, 262], tokenizer.Encode("<|begin_of_text|><|eot_id|>"));
        Assert.Equal([262], tokenizer.EndTokenIds);
        ErrorAssert.Says<ArgumentOutOfRangeException>(
            "one of Qwen2, Llama3, SmolLM2, Gpt2", () => BpeTrainer.Train(["a"], 300, kind: (TokenizerKind)9));
    }

    [Fact]
    public void Train_never_learns_from_special_tokens_nor_across_digits()
    {
        QwenTokenizer tokenizer = BpeTrainer.Train(Enumerable.Repeat("<|im_start|>11 11 ab", 50), 260);

        Assert.Equal([256], tokenizer.Encode("ab"));                 // the one merge left: not "im", not "11"
        Assert.Equal([16, 16], tokenizer.Encode("11"));
    }

    [Fact]
    public void Train_takes_other_special_tokens()
    {
        QwenTokenizer tokenizer = BpeTrainer.Train(["ab"], 259, ["<pad>", "<end>"]);

        Assert.Equal([257], tokenizer.EndTokenIds);
        Assert.Equal(257, tokenizer.PadTokenId);
        Assert.Equal([258], tokenizer.Encode("<end>"));
    }

    [Fact]
    public void Train_says_how_small_or_how_large_the_vocabulary_can_be()
    {
        Assert.Contains(
            "must be at least 259", Assert.Throws<ArgumentOutOfRangeException>(() => BpeTrainer.Train(["a"], 258)).Message,
            StringComparison.Ordinal);
        Assert.Contains(
            "no more pairs after 257 tokens; 258 and 3 special ones were asked for",
            Assert.Throws<ArgumentException>(() => BpeTrainer.Train(["ab"], 261)).Message,
            StringComparison.Ordinal);
        Assert.Contains(
            "none twice", Assert.Throws<ArgumentException>(() => BpeTrainer.Train(["ab"], 300, ["<a>", "<a>"])).Message,
            StringComparison.Ordinal);
    }

    [SharedFact]
    public void Train_learns_a_thousand_tokens_from_real_problems_in_seconds()
    {
        var watch = System.Diagnostics.Stopwatch.StartNew();
        QwenTokenizer tokenizer = BpeTrainer.Train(File.ReadLines(SharedData.Path("data", "gsm8k", "train.jsonl")), 1024);

        string text = "Natalia sold clips to 48 of her friends in April.";
        Assert.Equal(1024, tokenizer.VocabularySize);
        Assert.InRange(tokenizer.Encode(text).Count, 10, 25);            // 50 bytes
        Assert.Equal(text, tokenizer.Decode(tokenizer.Encode(text)));
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(60), $"took {watch.Elapsed}");
    }
}

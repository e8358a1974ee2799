using System.Text.Json.Nodes;

namespace Grpo.Models.Qwen.Tests.Text;

public sealed class QwenTokenizerErrorTests
{
    [Fact]
    public void Load_lists_what_it_looked_for_when_the_folder_has_no_tokenizer()
    {
        using var folder = new TemporaryFolder();
        string missing = folder.File("nowhere");

        Assert.Contains(
            $"'{missing}' does not exist", Assert.Throws<DirectoryNotFoundException>(() => QwenTokenizer.Load(missing)).Message,
            StringComparison.Ordinal);
        Assert.Contains(
            "looked for tokenizer.json, or vocab.json with merges.txt; none of them is there",
            Assert.Throws<FileNotFoundException>(() => QwenTokenizer.Load(folder.Path)).Message,
            StringComparison.Ordinal);
        folder.Write("vocab.json", "{}");
        Assert.Contains(
            "vocab.json is there, merges.txt is not",
            Assert.Throws<FileNotFoundException>(() => QwenTokenizer.Load(folder.Path)).Message,
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{\"a\": 0, \"b\"", "vocab.json' is not valid JSON (it may be cut off)")]
    [InlineData("[1]", "must hold a JSON object but holds an array")]
    [InlineData("{\"\\ud800\": 0}", "a string holds half a surrogate pair")]
    [InlineData("{\"a\": 0, \"a\": 1}", "The token 'a' is listed twice")]
    [InlineData("{\"a\": -1}", "The id of token 'a' must be a whole number of at least 0 but is -1")]
    [InlineData("{\"a\": 1.5}", "must be a whole number of at least 0 but is 1.5")]
    [InlineData("{\"a\": 4000000000}", "must be a whole number of at least 0 but is 4000000000")]
    [InlineData("{\"a\": 0, \"b\": 0}", "the tokens 'a' and 'b' have the same id 0")]
    [InlineData(
        "{\"a\": 0, \"b\": 2147483647}", "there are 2 tokens, but 'b' has the id 2147483647. Ids must run from 0 to 1 without gaps")]
    [InlineData("{\"a\": 0, \"b c\": 1}", "the token 'b c' holds U+0020, which stands for no byte")]
    [InlineData("{\"a\": 0}", "the byte 0x00 ('Ā') has no token")]
    public void Load_says_what_is_wrong_with_the_vocabulary(string vocabulary, string message)
    {
        using var folder = new TemporaryFolder();
        folder.Write("vocab.json", vocabulary);
        folder.Write("merges.txt", "");

        Assert.Contains(
            message, Assert.Throws<InvalidDataException>(() => QwenTokenizer.Load(folder.Path)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("h e\nhel\n", "merges.txt', line 2: a merge must be two tokens and one space between them")]
    [InlineData("h e\nh e l\n", "line 2: a merge must be")]
    [InlineData("h e\nhe l\nh e\n", "the merge 'h e' is listed twice (second at 2)")]
    [InlineData("h e\nhe x\n", "merge 1, 'he x', needs the token 'hex'")]
    [InlineData("h zz\n", "merge 0, 'h zz', needs the token 'hzz'")]
    public void Load_says_which_merge_is_wrong(string merges, string message)
    {
        using var folder = new TemporaryFolder();
        TinyTokenizer.WritePair(folder, merges);

        Assert.Contains(
            message, Assert.Throws<InvalidDataException>(() => QwenTokenizer.Load(folder.Path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Load_refuses_a_tokenizer_of_another_kind()
    {
        JsonObject otherNormalizer = TinyTokenizer.TokenizerJson();
        otherNormalizer["normalizer"] = new JsonObject { ["type"] = "Prepend", ["prepend"] = "▁" };
        JsonObject noWords = TinyTokenizer.TokenizerJson();
        noWords.Remove("pre_tokenizer");
        JsonObject otherExpression = TinyTokenizer.TokenizerJson();
        otherExpression["pre_tokenizer"]!["pretokenizers"]![0]!["pattern"]!["Regex"] = @"\w+";
        JsonObject otherModel = TinyTokenizer.TokenizerJson();
        otherModel["model"]!["type"] = "WordPiece";
        JsonObject otherEnd = TinyTokenizer.TokenizerJson();
        otherEnd["post_processor"] = new JsonObject { ["type"] = "TemplateProcessing" };

        Assert.Contains(
            "normalizer must be {\"type\": \"NFC\"} or null but is {\"type\":\"Prepend\"",
            Refusal(otherNormalizer),
            StringComparison.Ordinal);
        Assert.Contains("but is missing. Only the byte-level tokenization of", Refusal(noWords), StringComparison.Ordinal);
        Assert.Contains(
            "pre_tokenizer must be ByteLevel without add_prefix_space, behind a Split by Qwen2's, Llama 3's or GPT-2's expression",
            Refusal(otherExpression),
            StringComparison.Ordinal);
        Assert.Contains("model.type must be \"BPE\" but is \"WordPiece\"", Refusal(otherModel), StringComparison.Ordinal);
        Assert.Contains("post_processor must be {\"type\": \"ByteLevel\"}", Refusal(otherEnd), StringComparison.Ordinal);
    }

    [Fact]
    public void Load_refuses_added_tokens_that_contradict_each_other()
    {
        JsonObject sameId = TinyTokenizer.TokenizerJson();
        sameId["added_tokens"]!.AsArray().Add(TinyTokenizer.Added(260, "<x>"));
        JsonObject gap = TinyTokenizer.TokenizerJson();
        gap["added_tokens"]!.AsArray().Add(TinyTokenizer.Added(300, "<x>"));
        JsonObject strip = TinyTokenizer.TokenizerJson();
        strip["added_tokens"]![0]!["lstrip"] = true;
        JsonObject inVocabulary = TinyTokenizer.TokenizerJson();
        inVocabulary["added_tokens"]!.AsArray().Add(TinyTokenizer.Added(262, "hel"));

        Assert.Contains(
            "the added tokens '<|im_end|>' and '<x>' have the same id 260", Refusal(sameId), StringComparison.OrdinalIgnoreCase);
        Assert.Contains("'<x>' has the id 300. Ids must run from 0 to 262 without gaps", Refusal(gap), StringComparison.Ordinal);
        Assert.Contains("'<|endoftext|>' has lstrip = true, which is not implemented", Refusal(strip), StringComparison.Ordinal);
        Assert.Contains("'hel' has the id 257, but as an added token 262", Refusal(inVocabulary), StringComparison.Ordinal);
        Assert.Contains(
            "The added token '<|im_end|>' has the id 261, but 260 in",
            Refusal(TinyTokenizer.TokenizerJson(), ("added_tokens.json", """{"<|im_end|>": 261}""")),
            StringComparison.Ordinal);
    }

    [Fact]
    public void Load_refuses_special_tokens_that_do_not_exist()
    {
        JsonObject tokenizer = TinyTokenizer.TokenizerJson();

        Assert.Contains(
            "eos_token_id 151645 is outside the tokenizer's ids 0 to 261",
            Refusal(tokenizer, ("generation_config.json", """{"eos_token_id": [258, 151645]}""")),
            StringComparison.Ordinal);
        Assert.Contains(
            "names '<eos>' as eos_token", Refusal(tokenizer, ("tokenizer_config.json", """{"eos_token": "<eos>"}""")),
            StringComparison.Ordinal);
        Assert.Contains(
            "names '<pad>' as pad_token", Refusal(tokenizer, ("tokenizer_config.json", """{"pad_token": "<pad>"}""")),
            StringComparison.Ordinal);
    }

    [Fact]
    public void Load_refuses_a_tokenizer_without_an_end_token()
    {
        using var folder = new TemporaryFolder();
        TinyTokenizer.WritePair(folder);

        Assert.Contains(
            "has no end token", Assert.Throws<InvalidDataException>(() => QwenTokenizer.Load(folder.Path)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Load_does_not_read_a_file_that_is_far_too_large()
    {
        using var folder = new TemporaryFolder();
        using (FileStream file = File.Create(folder.File("generation_config.json")))
        {
            file.SetLength(1_048_577);
        }

        Assert.Contains(
            "has 1048577 bytes; at most 1 MiB are read",
            Assert.Throws<InvalidDataException>(() => QwenTokenizer.Load(folder.Path)).Message,
            StringComparison.Ordinal);
    }

    private static string Refusal(JsonObject tokenizer, params (string Name, string Content)[] others) =>
        Assert.Throws<InvalidDataException>(() => TinyTokenizer.Load(tokenizer, others)).Message;
}

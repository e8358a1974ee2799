using System.Text.Json.Nodes;
using Grpo.Models.Qwen.Text;

namespace Grpo.Models.Qwen.Tests.Text;

public sealed class QwenTokenizerLoadTests
{
    private const string AddedConfiguration = """
        {"added_tokens_decoder": {"258": {"content": "<|endoftext|>", "special": true}, "259": {"content": "<|im_end|>", "special": true}},
         "eos_token": "<|im_end|>", "pad_token": {"content": "<|endoftext|>", "__type": "AddedToken"}}
        """;

    [Fact]
    public void Load_reads_tokenizer_json_with_merges_as_text_or_pairs()
    {
        JsonObject pairs = TinyTokenizer.TokenizerJson();
        pairs["model"]!["merges"] = new JsonArray(new JsonArray("h", "e"), new JsonArray("he", "l"));

        foreach (QwenTokenizer tokenizer in (QwenTokenizer[])[TinyTokenizer.Load(TinyTokenizer.TokenizerJson()), TinyTokenizer.Load(pairs)])
        {
            Assert.Equal(262, tokenizer.VocabularySize);
            Assert.Equal([259, 257, 75, 78, 260], tokenizer.Encode("<|im_start|>hello<|im_end|>"));
            Assert.Equal([258, 260], tokenizer.EndTokenIds.Order());
            Assert.Equal(258, tokenizer.PadTokenId);
            Assert.Equal("hello<think>", tokenizer.Decode([259, 257, 75, 78, 261, 260]));
        }
    }

    [Fact]
    public void Load_reads_vocabulary_and_merges_with_added_tokens_of_the_configuration()
    {
        using var folder = new TemporaryFolder();
        TinyTokenizer.WritePair(folder);
        folder.Write("tokenizer_config.json", AddedConfiguration);

        QwenTokenizer tokenizer = QwenTokenizer.Load(folder.Path);

        Assert.Equal([257, 75, 78, 259], tokenizer.Encode("hello<|im_end|>"));
        Assert.Equal([258, 259], tokenizer.EndTokenIds.Order());
        Assert.Equal(258, tokenizer.PadTokenId);
    }

    [Fact]
    public void Load_reads_the_older_added_tokens_file()
    {
        using var folder = new TemporaryFolder();
        TinyTokenizer.WritePair(folder);
        folder.Write("added_tokens.json", """{"<|im_end|>": 259, "<|endoftext|>": 258, "<mark>": 260, "<other>": 261}""");
        folder.Write("special_tokens_map.json", """{"eos_token": "<|im_end|>", "additional_special_tokens": ["<mark>"]}""");

        QwenTokenizer tokenizer = QwenTokenizer.Load(folder.Path);

        Assert.Equal([258, 259], tokenizer.EndTokenIds.Order());
        Assert.Equal("h<other>", tokenizer.Decode(tokenizer.Encode("h<mark><other><|im_end|>")));
    }

    [Fact]
    public void Load_takes_the_end_tokens_from_the_generation_config_first()
    {
        JsonObject tokenizer = TinyTokenizer.TokenizerJson();

        Assert.Equal(
            [258], TinyTokenizer.Load(tokenizer, ("generation_config.json", """{"eos_token_id": 258, "top_k": 20}""")).EndTokenIds);
        Assert.Equal(
            [259, 260], TinyTokenizer.Load(tokenizer, ("generation_config.json", """{"eos_token_id": [260, 259]}""")).EndTokenIds.Order());
        Assert.Equal([258, 261], TinyTokenizer.Load(tokenizer, ("config.json", """{"eos_token_id": 261}""")).EndTokenIds.Order());
        Assert.Equal(
            [258, 259, 261],
            TinyTokenizer.Load(
                tokenizer, ("config.json", """{"eos_token_id": 261}"""),
                ("tokenizer_config.json", """{"eos_token": "<|im_start|>"}""")).EndTokenIds.Order());
        Assert.Equal(
            259, TinyTokenizer.Load(tokenizer, ("generation_config.json", """{"eos_token_id": 258, "pad_token_id": 259}""")).PadTokenId);
    }

    [Fact]
    public void Encode_takes_the_longest_of_the_added_tokens_that_start_first()
    {
        JsonObject tokenizer = TinyTokenizer.TokenizerJson();
        tokenizer["added_tokens"]!.AsArray().Add(TinyTokenizer.Added(262, "<think>h"));
        tokenizer["added_tokens"]!.AsArray().Add(TinyTokenizer.Added(263, "k>hello"));

        Assert.Equal([262, 68], TinyTokenizer.Load(tokenizer).Encode("<think>he"));   // not 261, and 263 starts later
    }

    [Fact]
    public void Encode_normalizes_each_span_but_cuts_added_tokens_from_the_raw_text()
    {
        // The combining acute after the token cannot join the token's last character.
        IReadOnlyList<int> ids = TinyTokenizer.Load(TinyTokenizer.TokenizerJson()).Encode("<think>\u0301e\u0301");

        Assert.Equal(261, ids[0]);
        Assert.Equal("<think>\u0301\u00E9", TinyTokenizer.Load(TinyTokenizer.TokenizerJson()).Decode(ids));
    }

    [Fact]
    public void Encode_replaces_lone_surrogates_and_keeps_noncharacters()
    {
        QwenTokenizer tokenizer = TinyTokenizer.Load(TinyTokenizer.TokenizerJson());

        Assert.Equal("a\uFFFDb", tokenizer.Decode(tokenizer.Encode("a\uD800b")));
        Assert.Equal("e\uFFFE\u00E9\uFFFF", tokenizer.Decode(tokenizer.Encode("e\uFFFEe\u0301\uFFFF")));
        Assert.Empty(tokenizer.Encode(""));
    }

    [Fact]
    public void Decode_turns_invalid_bytes_into_replacement_characters_but_leaves_out_an_incomplete_end()
    {
        QwenTokenizer tokenizer = TinyTokenizer.Load(TinyTokenizer.TokenizerJson());
        int Id(byte value) => TinyTokenizer.Vocabulary()[ByteAlphabet.ToChar(value).ToString()]!.GetValue<int>();

        Assert.Equal("a\uFFFDb", tokenizer.Decode([64, Id(0xFF), 65]));
        Assert.Equal("a\uFFFD", tokenizer.Decode([64, Id(0x80)]));                 // no first byte: it can never become a character
        Assert.Equal("a", tokenizer.Decode([64, Id(0xF0), Id(0x9F), Id(0xA7)]));
        Assert.Equal("a\uFFFDb", tokenizer.Decode([64, Id(0xF0), Id(0x9F), 65]));
        Assert.Equal("é", tokenizer.Decode([Id(0xC3), 260, Id(0xA9)]));            // a skipped token does not break a character
    }

    [Fact]
    public void Save_restores_tokenizer_json_and_the_end_tokens_after_the_source_is_gone()
    {
        QwenTokenizer loaded = TinyTokenizer.Load(TinyTokenizer.TokenizerJson(), ("generation_config.json", """{"eos_token_id": [260]}"""));
        using var folder = new TemporaryFolder();
        loaded.Save(Path.Combine(folder.Path, "new", "place"));

        QwenTokenizer again = QwenTokenizer.Load(Path.Combine(folder.Path, "new", "place"));

        Assert.Equal(
            TinyTokenizer.TokenizerJson().ToJsonString(), File.ReadAllText(Path.Combine(folder.Path, "new", "place", "tokenizer.json")));
        Assert.Equal([260], again.EndTokenIds);
        Assert.Equal("<think>", again.Decode(again.Encode("<think><|im_end|>")));
    }
}

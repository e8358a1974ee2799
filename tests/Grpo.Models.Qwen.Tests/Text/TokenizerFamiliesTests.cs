using System.Text.Json;
using System.Text.Json.Nodes;
using Grpo.Modeling;
using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Text;
using Grpo.Rollouts;
using Microsoft.Extensions.AI;

namespace Grpo.Models.Qwen.Tests.Text;

/// <summary>Settings of <c>tokenizer.json</c> in which the families differ.</summary>
public sealed class TokenizerFamiliesTests
{
    private const string ByteLevel = """{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}""";

    private const string Llama3Split =
        """{"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": """
        + """ "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| """
        + """?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}, "behavior": "Isolated", "invert": false}, """
        + """{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]}""";

    private const string Begin = """
        {"type": "TemplateProcessing",
         "single": [{"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
         "pair": [], "special_tokens": {"<|endoftext|>": {"id": "<|endoftext|>", "ids": [258], "tokens": ["<|endoftext|>"]}}}
        """;

    [Theory]
    [InlineData(Llama3Split, "Llama3")]
    [InlineData(ByteLevel, "GPT2")]
    [InlineData("""{"type": "ByteLevel", "add_prefix_space": false}""", "GPT2")]
    [InlineData(
        """{"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": true}, """ + ByteLevel + "]}",
        "GPT2 with single digits")]
    [InlineData(
        """{"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": false}, """ + ByteLevel + "]}",
        "GPT2 with numbers apart")]
    [InlineData("""{"type": "Sequence", "pretokenizers": [""" + Llama3Split + "]}", "Llama3")]
    public void Read_takes_the_words_from_the_pre_tokenizer(string preTokenizer, string words)
    {
        JsonObject tokenizer = With("pre_tokenizer", preTokenizer);
        using var json = new JsonFile("tokenizer.json", JsonSerializer.SerializeToUtf8Bytes(tokenizer));

        Assert.Equal(words, TokenizerJsonPipeline.Read(json).Words.Name);
        Assert.Equal(words, TinyTokenizer.Load(tokenizer).Identity.Kind);
    }

    // Some fine-tunes add them as special tokens. Without them the text would show a thought as the answer.
    [Fact]
    public void Decode_keeps_the_marks_of_thoughts_among_special_tokens()
    {
        JsonObject json = TinyTokenizer.TokenizerJson();
        json["added_tokens"]![3] = TinyTokenizer.Added(261, "<think>");
        json["added_tokens"]!.AsArray().Add(TinyTokenizer.Added(262, "</think>"));
        QwenTokenizer tokenizer = TinyTokenizer.Load(json);

        IReadOnlyList<int> ids = tokenizer.Encode("<think>5</think>7<|im_end|>");
        Assert.Equal([261, 262, TinyTokenizer.EndOfMessage], ids.Where(id => id > 257));
        Assert.Equal("<think>5</think>7", tokenizer.Decode(ids));
        Assert.Equal("7", Completion.RemoveThinkBlocks(tokenizer.Decode(ids)));
    }

    [Fact]
    public void Encode_merges_three_digits_at_most_with_Llama_3s_words()
    {
        // The vocabulary merges "1 2", "3 4" and "12 34". In 1234 the fourth digit is a word of its own.
        JsonObject tokenizer = With("pre_tokenizer", Llama3Split);
        AddTokens(tokenizer, "12", "34", "1234");
        tokenizer["model"]!["merges"] = new JsonArray("1 2", "3 4", "12 34");
        JsonObject plain = With("pre_tokenizer", ByteLevel);
        AddTokens(plain, "12", "34", "1234");
        plain["model"]!["merges"] = new JsonArray("1 2", "3 4", "12 34");

        Assert.Equal([262, 18, 19], TinyTokenizer.Load(tokenizer).Encode("1234"));   // 12, 3, 4
        Assert.Equal([264], TinyTokenizer.Load(plain).Encode("1234"));
    }

    [Fact]
    public void Encode_takes_a_word_of_the_vocabulary_whole_if_merges_are_ignored()
    {
        // No merge makes "hello" or "Ġwé": merged, they are hel, l, o and bytes.
        JsonObject merging = TinyTokenizer.TokenizerJson();
        AddTokens(merging, "hello", "ĠwÃ©");
        JsonObject whole = TinyTokenizer.TokenizerJson();
        AddTokens(whole, "hello", "ĠwÃ©");
        whole["model"]!["ignore_merges"] = true;

        Assert.Equal([257, 75, 78], TinyTokenizer.Load(merging).Encode("hello"));
        Assert.Equal([262, 263], TinyTokenizer.Load(whole).Encode("hello wé"));
        Assert.Equal([257], TinyTokenizer.Load(whole).Encode("hel"));
        Assert.Equal([257, 75, 78, 75], TinyTokenizer.Load(whole).Encode("hellol"));   // not a word of the vocabulary: merged
    }

    [Theory]
    [InlineData("null", "e\u0301")]
    [InlineData("""{"type": "Sequence", "normalizers": []}""", "e\u0301")]
    [InlineData("""{"type": "Sequence", "normalizers": [{"type": "NFC"}]}""", "\u00E9")]
    public void Encode_normalizes_only_if_the_normalizer_does(string normalizer, string expected)
    {
        QwenTokenizer tokenizer = TinyTokenizer.Load(With("normalizer", normalizer));

        Assert.Equal(expected, tokenizer.Decode(tokenizer.Encode("e\u0301")));
        Assert.Equal("\uFFFD", tokenizer.Decode(tokenizer.Encode("\uD800")));
    }

    [Fact]
    public void Encode_leaves_out_bytes_without_a_token_before_merging()
    {
        // U+0100 is C4 80. Without both, h and e of "hĀe" are neighbors and merge; 256 and up are two lower for the missing ids.
        JsonObject tokenizer = WithoutBytes(0xC4, 0x80);
        QwenTokenizer loaded = TinyTokenizer.Load(tokenizer);

        Assert.Equal([254], loaded.Encode("h\u0100e"));
        Assert.Equal([254, 219, 255, 256, 254], loaded.Encode("he hel<|endoftext|>h\u0100e"));   // 219 is Ġ, one lower
        Assert.Empty(loaded.Encode("\u0100"));
        tokenizer["model"]!["unk_token"] = "<|endoftext|>";
        ErrorAssert.Says<InvalidDataException>("the byte 0x80 ('Ģ') has no token", () => TinyTokenizer.Load(tokenizer));
    }

    [Fact]
    public void Load_needs_no_token_for_a_byte_that_text_cannot_hold() =>
        Assert.Equal([250], TinyTokenizer.Load(WithoutBytes(0xC0, 0xC1, 0xF5, 0xF6, 0xF7, 0xFF)).Encode("he"));

    [Theory]
    [InlineData("{}", new[] { 258 })]                                                        // as the post-processor says
    [InlineData("""{"add_bos_token": false, "bos_token": "<|im_start|>"}""", new int[0])]
    [InlineData("""{"add_bos_token": true, "bos_token": "<|im_start|>"}""", new[] { 259 })]
    [InlineData("""{"add_bos_token": true}""", new int[0])]
    public void PrefixTokenIds_follow_the_configuration_before_the_post_processor(string configuration, int[] expected)
    {
        QwenTokenizer tokenizer = TinyTokenizer.Load(With("post_processor", Begin), ("tokenizer_config.json", configuration));

        Assert.Equal(expected, tokenizer.PrefixTokenIds);
        Assert.Equal([257], tokenizer.Encode("hel"));
    }

    [Fact]
    public void PrefixTokenIds_are_read_from_a_sequence_of_post_processors()
    {
        // Llama 3's. ByteLevel has add_prefix_space there, which moves offsets and changes no id.
        QwenTokenizer tokenizer = TinyTokenizer.Load(With(
            "post_processor",
            """{"type": "Sequence", "processors": [{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false}, """
            + Begin + "]}"));

        Assert.Equal([258], tokenizer.PrefixTokenIds);
        Assert.Equal([257], tokenizer.Encode("hel"));
    }

    // The class of Llama 3 and of R1-Distill-Qwen: both write the begin token in their chat template.
    [Theory]
    [InlineData("PreTrainedTokenizerFast", "true")]
    [InlineData("LlamaTokenizerFast", "true")]
    [InlineData("LlamaTokenizerFast", "false")]
    [InlineData("Qwen2Tokenizer", "true")]
    public void Encode_writes_the_begin_token_of_a_template_once(string name, string adds)
    {
        QwenTokenizer tokenizer = TinyTokenizer.Load(
            With("post_processor", Begin),
            ("tokenizer_config.json",
                $$"""{"tokenizer_class": "{{name}}", "add_bos_token": {{adds}}, "bos_token": "<|endoftext|>"}"""));
        var encoder = new PromptEncoder(tokenizer, new BeginTemplate());

        Assert.Equal([258, 257, 260], encoder.Encode(Prompt.Create("p", "hel"), 10));
    }

    [Theory]
    [InlineData(
        """[{"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "<|endoftext|>"}}]""",
        "post_processor must be {\"type\": \"ByteLevel\"} or a TemplateProcessing that puts tokens before a text only")]
    [InlineData("""[{"SpecialToken": {"id": "<|endoftext|>"}}]""", "post_processor must be")]
    [InlineData("""[{"SpecialToken": {"id": "<x>"}}, {"Sequence": {"id": "A"}}]""", "'<x>' is missing")]
    [InlineData(
        """[{"SpecialToken": {"id": "<|end|>"}}, {"Sequence": {"id": "A"}}]""",
        "the id 999 in post_processor is outside the tokenizer's ids 0 to 261")]
    public void Load_refuses_a_template_that_puts_other_tokens_around_a_text(string pieces, string message)
    {
        JsonObject template = JsonNode.Parse(Begin)!.AsObject();
        template["single"] = JsonNode.Parse(pieces);
        template["special_tokens"]!["<|end|>"] = JsonNode.Parse("""{"id": "<|end|>", "ids": [999]}""");
        JsonObject tokenizer = TinyTokenizer.TokenizerJson();
        tokenizer["post_processor"] = template;

        ErrorAssert.Says<InvalidDataException>(message, () => TinyTokenizer.Load(tokenizer));
    }

    [Fact]
    public void PadTokenId_is_the_lowest_end_token_when_no_file_names_one()
    {
        JsonObject tokenizer = TinyTokenizer.TokenizerJson();
        tokenizer["added_tokens"] = new JsonArray(TinyTokenizer.Added(258, "<a>"), TinyTokenizer.Added(259, "<b>"));

        Assert.Equal(258, TinyTokenizer.Load(tokenizer, ("generation_config.json", """{"eos_token_id": [259, 258]}""")).PadTokenId);
    }

    [Fact]
    public void Load_splits_vocabulary_and_merges_of_GPT_2_as_its_class_does()
    {
        // GPT-2's own configuration lists no added token: its class adds <|endoftext|>, which its vocabulary holds.
        using var folder = new TemporaryFolder();
        JsonObject vocabulary = TinyTokenizer.Vocabulary();
        vocabulary.Add("<|endoftext|>", 258);
        folder.Write("vocab.json", vocabulary.ToJsonString());
        folder.Write("merges.txt", "h e\nhe l\n");
        folder.Write("tokenizer_config.json", """{"tokenizer_class": "GPT2Tokenizer", "eos_token": "<|endoftext|>"}""");
        QwenTokenizer tokenizer = QwenTokenizer.Load(folder.Path);

        Assert.Equal("GPT2", tokenizer.Identity.Kind);
        Assert.Equal([257, 258], tokenizer.Encode("hel<|endoftext|>"));
        Assert.Equal([258], tokenizer.EndTokenIds);
        Assert.Equal("e\u0301", tokenizer.Decode(tokenizer.Encode("e\u0301")));
    }

    [Fact]
    public void Save_names_the_class_that_reads_tokenizer_json()
    {
        using var folder = new TemporaryFolder();
        TinyTokenizer.Load(With("pre_tokenizer", Llama3Split)).Save(folder.Path);

        Assert.Contains(
            "\"tokenizer_class\": \"PreTrainedTokenizerFast\"", File.ReadAllText(folder.File("tokenizer_config.json")),
            StringComparison.Ordinal);
        Assert.Equal("Llama3", QwenTokenizer.Load(folder.Path).Identity.Kind);
    }

    private static JsonObject With(string stage, string value)
    {
        JsonObject tokenizer = TinyTokenizer.TokenizerJson();
        tokenizer[stage] = JsonNode.Parse(value);
        return tokenizer;
    }

    // The ids of the vocabulary follow the added tokens, 258 to 261.
    private static void AddTokens(JsonObject tokenizer, params ReadOnlySpan<string> tokens)
    {
        for (int i = 0; i < tokens.Length; i++)
        {
            tokenizer["model"]!["vocab"]!.AsObject().Add(tokens[i], 262 + i);
        }
    }

    private static JsonObject WithoutBytes(params byte[] bytes)
    {
        JsonObject tokenizer = TinyTokenizer.TokenizerJson();
        string[] lacking = [.. bytes.Select(value => ByteAlphabet.ToChar(value).ToString())];
        var vocabulary = new JsonObject();
        foreach ((string token, _) in TinyTokenizer.Vocabulary().Where(token => !lacking.Contains(token.Key)))
        {
            vocabulary.Add(token, vocabulary.Count);
        }

        tokenizer["model"]!["vocab"] = vocabulary;
        foreach (JsonNode? added in tokenizer["added_tokens"]!.AsArray())
        {
            added!["id"] = added["id"]!.GetValue<int>() - bytes.Length;
        }

        return tokenizer;
    }

    private sealed class BeginTemplate : IEndOfTurnTemplate
    {
        public string EndOfTurn => "<|im_end|>";

        public string Render(IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt = true) =>
            "<|endoftext|>" + string.Concat(messages.Select(message => message.Text + EndOfTurn));
    }
}

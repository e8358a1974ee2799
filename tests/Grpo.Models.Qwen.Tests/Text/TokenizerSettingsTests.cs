using System.Text.Json.Nodes;

namespace Grpo.Models.Qwen.Tests.Text;

/// <summary>Settings by which transformers would give a text other ids, each at home in one of the two files.</summary>
public sealed class TokenizerSettingsTests
{
    [Theory]
    [InlineData("model/dropout", "0.1", "model.dropout must be 0 but is 0.1")]
    [InlineData("model/byte_fallback", "true", "model.byte_fallback must be false")]
    [InlineData("model/ignore_merges", "1", "model.ignore_merges must be true or false but is 1")]
    [InlineData("model/end_of_word_suffix", "\"</w>\"", "model.end_of_word_suffix must be empty")]
    [InlineData("model/continuing_subword_prefix", "\"##\"", "model.continuing_subword_prefix must be empty")]
    [InlineData("model/max_input_chars_per_word", "100", "model.max_input_chars_per_word is not known")]
    [InlineData("pre_tokenizer/pretokenizers/1/add_prefix_space", "true", "pre_tokenizer must be")]
    [InlineData("pre_tokenizer/pretokenizers/0/invert", "true", "pre_tokenizer must be")]
    [InlineData("pre_tokenizer/pretokenizers/0/behavior", "\"Removed\"", "pre_tokenizer must be")]
    [InlineData("pre_tokenizer/pretokenizers/1/use_regex", "true", "pre_tokenizer must be")]
    [InlineData("pre_tokenizer", "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"use_regex\": false}", "pre_tokenizer must be")]
    [InlineData("pre_tokenizer", "{\"type\": \"Digits\", \"individual_digits\": true}", "pre_tokenizer must be")]
    [InlineData("pre_tokenizer", "null", "pre_tokenizer must be")]
    [InlineData("normalizer/type", "\"NFKC\"", "normalizer must be")]
    [InlineData("normalizer", "{\"type\": \"Lowercase\"}", "normalizer must be")]
    [InlineData("post_processor", "{\"type\": \"TemplateProcessing\", \"single\": []}", "post_processor must be")]
    [InlineData("decoder", "{\"type\": \"WordPiece\"}", "decoder must be")]
    [InlineData("added_tokens/0/rstrip", "true", "rstrip = true, which is not implemented")]
    [InlineData("added_tokens/0/single_word", "true", "single_word = true, which is not implemented")]
    public void Load_refuses_a_stage_of_tokenizer_json(string path, string value, string message)
    {
        JsonObject tokenizer = TinyTokenizer.TokenizerJson();
        Set(tokenizer, path, value);
        Assert.Contains(
            message, Assert.Throws<InvalidDataException>(() => TinyTokenizer.Load(tokenizer)).Message, StringComparison.Ordinal);
    }

    // Unknown bytes do not occur where all 256 have a token; cutting and padding are set anew for each call by transformers.
    [Theory]
    [InlineData("model/dropout", "0.0")]
    [InlineData("model/unk_token", "\"<|endoftext|>\"")]
    [InlineData("model/fuse_unk", "true")]
    [InlineData("truncation", "{\"direction\": \"Right\", \"max_length\": 4, \"strategy\": \"LongestFirst\", \"stride\": 0}")]
    [InlineData(
        "padding", "{\"strategy\": {\"Fixed\": 16}, \"direction\": \"Left\", \"pad_id\": 0, \"pad_type_id\": 0, \"pad_token\": \"!\"}")]
    [InlineData("decoder", "null")]
    [InlineData("normalizer", "null")]
    [InlineData("model/ignore_merges", "true")]
    [InlineData("model/continuing_subword_prefix", "null")]
    [InlineData("post_processor", "null")]
    public void Load_accepts_a_setting_that_changes_no_id(string path, string value)
    {
        JsonObject tokenizer = TinyTokenizer.TokenizerJson();
        Set(tokenizer, path, value);
        int[] expected = [257, .. "lo world"u8.ToArray()
            .Select(letter => TinyTokenizer.Load(TinyTokenizer.TokenizerJson()).Encode(((char)letter).ToString())[0])];
        Assert.Equal(expected, TinyTokenizer.Load(tokenizer).Encode("hello world"));
    }

    [Theory]
    [InlineData("add_prefix_space", "true", "add_prefix_space is true")]
    [InlineData("split_special_tokens", "true", "split_special_tokens is true")]
    [InlineData("do_lower_case", "true", "do_lower_case is true")]
    [InlineData("add_bos_token", "\"yes\"", "add_bos_token is \"yes\"")]
    [InlineData("add_eos_token", "true", "add_eos_token is true")]
    [InlineData("add_prefix_space", "\"yes\"", "add_prefix_space is \"yes\"")]
    public void Load_refuses_a_setting_of_tokenizer_config(string field, string value, string message)
    {
        string configuration =
            $$"""{"tokenizer_class": "Qwen2Tokenizer", "bos_token": "<|endoftext|>", "eos_token": "<|im_end|>", "{{field}}": {{value}}}""";
        var exception = Assert.Throws<InvalidDataException>(
            () => TinyTokenizer.Load(TinyTokenizer.TokenizerJson(), ("tokenizer_config.json", configuration)));
        Assert.Contains(message, exception.Message, StringComparison.Ordinal);
        Assert.Contains("tokenizer_config.json", exception.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("\"add_prefix_space\": false")]
    [InlineData("\"split_special_tokens\": false")]
    [InlineData("\"clean_up_tokenization_spaces\": true")]
    [InlineData("\"add_bos_token\": true, \"bos_token\": null")]
    [InlineData("\"legacy\": true")]
    [InlineData("\"model_max_length\": 131072")]
    public void Load_accepts_a_neutral_setting_of_tokenizer_config(string field)
    {
        QwenTokenizer tokenizer = TinyTokenizer.Load(TinyTokenizer.TokenizerJson(), ("tokenizer_config.json", $"{{{field}}}"));
        Assert.Equal([257], tokenizer.Encode("hel"));
    }

    // vocab.json and merges.txt say nothing of how words are split: the class does.
    [Theory]
    [InlineData("PreTrainedTokenizerFast")]
    [InlineData("LlamaTokenizerFast")]
    [InlineData("RobertaTokenizerFast")]
    [InlineData("CodeGenTokenizer")]
    public void Load_refuses_a_pair_of_files_of_another_class(string name)
    {
        using var folder = new TemporaryFolder();
        TinyTokenizer.WritePair(folder);
        folder.Write("added_tokens.json", """{"<|endoftext|>": 258, "<|im_end|>": 259}""");
        folder.Write("tokenizer_config.json", $$"""{"tokenizer_class": "{{name}}"}""");
        Assert.Contains(
            $"tokenizer_class is \"{name}\"", Assert.Throws<InvalidDataException>(() => QwenTokenizer.Load(folder.Path)).Message,
            StringComparison.Ordinal);
    }

    // Expected ids are those of the rule of Hugging Face's tokenizers: a token with normalized = true is looked for after form
    // C, in form C.
    [Theory]
    [InlineData("éé", "e\u0301é", new[] { 262 })]                     // e and an accent compose to the token's é
    [InlineData("e\u0301é", "éé", new[] { 262 })]                     // the token's own text is normalized too
    [InlineData("<e>", "<e>\u0338", new[] { '<', 'e', 0x226F })]      // the stroke makes ≯ of >, and the token is gone
    [InlineData("<e>", "a<e>", new[] { 'a', 262 })]
    public void Encode_finds_a_normalized_token_in_normalized_text(string token, string text, int[] expected)
    {
        JsonObject tokenizer = TinyTokenizer.TokenizerJson();
        JsonObject added = TinyTokenizer.Added(262, token, special: false);
        added["normalized"] = true;
        tokenizer["added_tokens"]!.AsArray().Add(added);
        QwenTokenizer loaded = TinyTokenizer.Load(tokenizer);
        QwenTokenizer plain = TinyTokenizer.Load(TinyTokenizer.TokenizerJson());
        int[] ids = [.. expected.SelectMany(id => id == 262 ? [262] : plain.Encode(((char)id).ToString()))];
        Assert.Equal(ids, loaded.Encode(text));
        Assert.DoesNotContain(262, loaded.EncodeUntrusted(text));
    }

    private static void Set(JsonObject root, string path, string value)
    {
        string[] parts = path.Split('/');
        JsonNode node = root;
        foreach (string part in parts[..^1])
        {
            node = int.TryParse(part, out int index) ? node[index]! : node[part]!;
        }

        node[parts[^1]] = JsonNode.Parse(value);
    }
}

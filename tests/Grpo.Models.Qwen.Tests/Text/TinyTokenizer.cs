using System.Text.Json;
using System.Text.Json.Nodes;
using Grpo.Models.Qwen.Text;

namespace Grpo.Models.Qwen.Tests.Text;

/// <summary>A small valid tokenizer as files: 256 bytes, the merges "h e" (256) and "he l" (257), and added tokens from 258 on.</summary>
internal static class TinyTokenizer
{
    public const int EndOfText = 258;
    public const int EndOfMessage = 260;

    public static JsonObject Vocabulary()
    {
        var vocabulary = new JsonObject();
        foreach (byte value in ByteAlphabet.BytesByCharacter)
        {
            vocabulary.Add(ByteAlphabet.ToChar(value).ToString(), vocabulary.Count);
        }

        vocabulary.Add("he", 256);
        vocabulary.Add("hel", 257);
        return vocabulary;
    }

    public static JsonObject Added(int id, string content, bool special = true) => new()
    {
        ["id"] = id,
        ["content"] = content,
        ["single_word"] = false,
        ["lstrip"] = false,
        ["rstrip"] = false,
        ["normalized"] = false,
        ["special"] = special,
    };

    /// <summary>The whole of <c>tokenizer.json</c>, as transformers writes it.</summary>
    public static JsonObject TokenizerJson() => new()
    {
        ["version"] = "1.0",
        ["truncation"] = null,
        ["padding"] = null,
        ["added_tokens"] = new JsonArray(
            Added(258, "<|endoftext|>"), Added(259, "<|im_start|>"), Added(260, "<|im_end|>"), Added(261, "<think>", special: false)),
        ["normalizer"] = new JsonObject { ["type"] = "NFC" },
        ["pre_tokenizer"] = new JsonObject
        {
            ["type"] = "Sequence",
            ["pretokenizers"] = new JsonArray(
                new JsonObject
                {
                    ["type"] = "Split",
                    ["pattern"] = new JsonObject { ["Regex"] = WordRules.Qwen2.Pattern },
                    ["behavior"] = "Isolated",
                    ["invert"] = false,
                },
                new JsonObject { ["type"] = "ByteLevel", ["add_prefix_space"] = false, ["trim_offsets"] = false, ["use_regex"] = false }),
        },
        ["post_processor"] =
            new JsonObject { ["type"] = "ByteLevel", ["add_prefix_space"] = false, ["trim_offsets"] = false, ["use_regex"] = false },
        ["decoder"] = new JsonObject { ["type"] = "ByteLevel" },
        ["model"] = new JsonObject
        {
            ["type"] = "BPE",
            ["dropout"] = null,
            ["unk_token"] = null,
            ["continuing_subword_prefix"] = "",
            ["end_of_word_suffix"] = "",
            ["fuse_unk"] = false,
            ["byte_fallback"] = false,
            ["ignore_merges"] = false,
            ["vocab"] = Vocabulary(),
            ["merges"] = new JsonArray("h e", "he l"),
        },
    };

    public static QwenTokenizer Load(JsonObject tokenizer, params ReadOnlySpan<(string Name, string Content)> others)
    {
        using var folder = new TemporaryFolder();
        folder.Write("tokenizer.json", tokenizer.ToJsonString());
        foreach ((string name, string content) in others)
        {
            folder.Write(name, content);
        }

        return QwenTokenizer.Load(folder.Path);
    }

    public static void WritePair(TemporaryFolder folder, string merges = "#version: 0.2\nh e\nhe l\n")
    {
        folder.Write("vocab.json", JsonSerializer.Serialize(Vocabulary()));
        folder.Write("merges.txt", merges);
    }
}

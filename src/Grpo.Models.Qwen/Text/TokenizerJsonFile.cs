using System.Text.Json;
using System.Text.Json.Nodes;

namespace Grpo.Models.Qwen.Text;

/// <summary>Writes a <c>tokenizer.json</c> as Hugging Face's tokenizers do, which <see cref="TokenizerJsonPipeline"/> reads.</summary>
internal static class TokenizerJsonFile
{
    /// <summary>Writes the file.</summary>
    /// <param name="tokens">The tokens of the vocabulary by id, in the characters of <see cref="ByteAlphabet"/>.</param>
    /// <param name="merges">The merges in learned order.</param>
    /// <param name="added">The added tokens.</param>
    /// <param name="pipeline">The settings of the tokenizer.</param>
    /// <param name="begin">The token that the post-processor puts before a text; null if there is none.</param>
    public static byte[] Write(
        IReadOnlyList<string> tokens,
        IReadOnlyList<(string Left, string Right)> merges,
        IReadOnlyList<AddedToken> added,
        TokenizerPipeline pipeline,
        AddedToken? begin = null)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, TokenizerConfiguration.Indented))
        {
            json.WriteStartObject();
            json.WriteString("version", "1.0");
            json.WriteNull("truncation");
            json.WriteNull("padding");
            json.WriteStartArray("added_tokens");
            foreach (AddedToken token in added)
            {
                WriteAdded(json, token);
            }

            json.WriteEndArray();
            Write(json, "normalizer", pipeline.IsComposed ? new JsonObject { ["type"] = "NFC" } : null);
            Write(json, "pre_tokenizer", PreTokenizer(pipeline.Words));
            Write(json, "post_processor", begin is { } first ? BeginTemplate(first) : null);
            Write(json, "decoder", ByteLevel(useRegex: true));
            WriteModel(json, tokens, merges, pipeline);
            json.WriteEndObject();
        }

        return stream.ToArray();
    }

    private static void WriteAdded(Utf8JsonWriter json, AddedToken token)
    {
        json.WriteStartObject();
        json.WriteNumber("id", token.Id);
        json.WriteString("content", token.Content);
        json.WriteBoolean("single_word", false);
        json.WriteBoolean("lstrip", false);
        json.WriteBoolean("rstrip", false);
        json.WriteBoolean("normalized", token.IsNormalized);
        json.WriteBoolean("special", token.IsSpecial);
        json.WriteEndObject();
    }

    private static JsonObject PreTokenizer(WordRules words)
    {
        bool usesRegex = words.Pattern == WordRules.Gpt2.Pattern;
        var stages = new JsonArray();
        if (words.NumbersApart)
        {
            stages.Add((JsonNode)new JsonObject { ["type"] = "Digits", ["individual_digits"] = words.LongestNumber == 1 });
        }

        if (!usesRegex)
        {
            var pattern = new JsonObject { ["Regex"] = words.Pattern };
            stages.Add((JsonNode)new JsonObject
            {
                ["type"] = "Split",
                ["pattern"] = pattern,
                ["behavior"] = "Isolated",
                ["invert"] = false,
            });
        }

        JsonObject byteLevel = ByteLevel(usesRegex);
        if (stages.Count == 0)
        {
            return byteLevel;
        }

        stages.Add((JsonNode)byteLevel);
        return new JsonObject { ["type"] = "Sequence", ["pretokenizers"] = stages };
    }

    private static JsonObject ByteLevel(bool useRegex) => new()
    {
        ["type"] = "ByteLevel",
        ["add_prefix_space"] = false,
        ["trim_offsets"] = true,
        ["use_regex"] = useRegex,
    };

    private static JsonObject BeginTemplate(AddedToken begin)
    {
        JsonObject Piece(string kind, string id, int type) => new() { [kind] = new JsonObject { ["id"] = id, ["type_id"] = type } };
        JsonObject Token() => Piece("SpecialToken", begin.Content, 0);
        var token = new JsonObject
        {
            ["id"] = begin.Content,
            ["ids"] = new JsonArray((JsonNode)begin.Id),
            ["tokens"] = new JsonArray((JsonNode)begin.Content),
        };
        return new JsonObject
        {
            ["type"] = "TemplateProcessing",
            ["single"] = new JsonArray(Token(), Piece("Sequence", "A", 0)),
            ["pair"] = new JsonArray(Token(), Piece("Sequence", "A", 0), Piece("Sequence", "B", 1)),
            ["special_tokens"] = new JsonObject { [begin.Content] = token },
        };
    }

    private static void WriteModel(
        Utf8JsonWriter json, IReadOnlyList<string> tokens, IReadOnlyList<(string Left, string Right)> merges, TokenizerPipeline pipeline)
    {
        json.WriteStartObject("model");
        json.WriteString("type", "BPE");
        foreach (string name in (ReadOnlySpan<string>)["dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"])
        {
            json.WriteNull(name);
        }

        json.WriteBoolean("fuse_unk", false);
        json.WriteBoolean("byte_fallback", false);
        json.WriteBoolean("ignore_merges", pipeline.TakesWholeWords);
        json.WriteStartObject("vocab");
        for (int id = 0; id < tokens.Count; id++)
        {
            json.WriteNumber(tokens[id], id);
        }

        json.WriteEndObject();
        json.WriteStartArray("merges");
        foreach ((string left, string right) in merges)
        {
            json.WriteStartArray();
            json.WriteStringValue(left);
            json.WriteStringValue(right);
            json.WriteEndArray();
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, string name, JsonObject? value)
    {
        json.WritePropertyName(name);
        if (value is null)
        {
            json.WriteNullValue();
        }
        else
        {
            value.WriteTo(json);
        }
    }
}

using System.Text.Json;

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
            Write(json, "normalizer", pipeline.IsComposed ? new { type = "NFC" } : null);
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

    private static object PreTokenizer(WordRules words)
    {
        bool usesRegex = words.Pattern == WordRules.Gpt2.Pattern;
        var stages = new List<object>();
        if (words.NumbersApart)
        {
            stages.Add(new { type = "Digits", individual_digits = words.LongestNumber == 1 });
        }

        if (!usesRegex)
        {
            stages.Add(new { type = "Split", pattern = new { Regex = words.Pattern }, behavior = "Isolated", invert = false });
        }

        stages.Add(ByteLevel(usesRegex));
        return stages.Count == 1 ? stages[0] : new { type = "Sequence", pretokenizers = stages };
    }

    private static object ByteLevel(bool useRegex) =>
        new { type = "ByteLevel", add_prefix_space = false, trim_offsets = true, use_regex = useRegex };

    private static object BeginTemplate(AddedToken begin)
    {
        object token = new { SpecialToken = new { id = begin.Content, type_id = 0 } };
        object Text(string id, int type) => new { Sequence = new { id, type_id = type } };
        return new
        {
            type = "TemplateProcessing",
            single = new[] { token, Text("A", 0) },
            pair = new[] { token, Text("A", 0), Text("B", 1) },
            special_tokens = new Dictionary<string, object>(StringComparer.Ordinal)
            {
                [begin.Content] = new { id = begin.Content, ids = new[] { begin.Id }, tokens = new[] { begin.Content } },
            },
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

    private static void Write(Utf8JsonWriter json, string name, object? value)
    {
        json.WritePropertyName(name);
        JsonSerializer.Serialize(json, value);
    }
}

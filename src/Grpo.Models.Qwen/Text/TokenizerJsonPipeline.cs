using System.Text.Json;
using Grpo.Models.Qwen.Config;

namespace Grpo.Models.Qwen.Text;

/// <summary>Refuses a <c>tokenizer.json</c> with another tokenization than Qwen2's, which would silently give wrong ids.</summary>
internal static class TokenizerJsonPipeline
{
    // unk_token and fuse_unk are harmless, because every byte has a token. Transformers sets truncation and padding anew for each call.
    private static readonly string[] ModelKeys =
    [
        "type", "dropout", "unk_token", "fuse_unk", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "ignore_merges",
        "vocab", "merges",
    ];

    /// <summary>Checks every stage in the file. A missing stage counts as Qwen2's.</summary>
    public static void RequireQwen2(JsonFile json)
    {
        JsonElement model = json.Require(json.Root, "model", JsonValueKind.Object);
        Require(json, !model.TryGetProperty("type", out JsonElement type) || Is(type, "BPE"), "model.type", "\"BPE\"", type);
        foreach (string name in (ReadOnlySpan<string>)["continuing_subword_prefix", "end_of_word_suffix"])
        {
            JsonFile.TryGet(model, name, out JsonElement affix);
            Require(json, affix.ValueKind == JsonValueKind.Undefined || Is(affix, ""), $"model.{name}", "empty", affix);
        }

        foreach (string name in (ReadOnlySpan<string>)["byte_fallback", "ignore_merges"])
        {
            JsonFile.TryGet(model, name, out JsonElement flag);
            Require(json, flag.ValueKind is JsonValueKind.Undefined or JsonValueKind.False, $"model.{name}", "false", flag);
        }

        JsonFile.TryGet(model, "dropout", out JsonElement dropout);
        Require(json, dropout.ValueKind is JsonValueKind.Undefined or JsonValueKind.Null || IsZero(dropout), "model.dropout", "0", dropout);
        foreach (JsonProperty property in model.EnumerateObject().Where(property => !ModelKeys.Contains(property.Name)))
        {
            throw json.Error($"model.{property.Name} is not known, so which ids a text has cannot be told.");
        }

        if (json.Root.TryGetProperty("normalizer", out JsonElement normalizer))
        {
            Require(json, IsOfType(normalizer, "NFC"), "normalizer", """{"type": "NFC"}""", normalizer);
        }

        if (json.Root.TryGetProperty("pre_tokenizer", out JsonElement preTokenizer))
        {
            Require(json, IsQwen2(preTokenizer), "pre_tokenizer", "a Split by Qwen2's expression and ByteLevel", preTokenizer);
        }

        if (JsonFile.TryGet(json.Root, "post_processor", out JsonElement postProcessor))
        {
            Require(json, IsOfType(postProcessor, "ByteLevel"), "post_processor", """{"type": "ByteLevel"}""", postProcessor);
        }

        if (JsonFile.TryGet(json.Root, "decoder", out JsonElement decoder))
        {
            Require(json, IsOfType(decoder, "ByteLevel"), "decoder", """{"type": "ByteLevel"}""", decoder);
        }
    }

    private static bool IsQwen2(JsonElement preTokenizer)
    {
        if (!IsOfType(preTokenizer, "Sequence")
            || !JsonFile.TryGet(preTokenizer, "pretokenizers", out JsonElement stages)
            || stages.ValueKind != JsonValueKind.Array || stages.GetArrayLength() != 2)
        {
            return false;
        }

        JsonElement split = stages[0];
        JsonElement byteLevel = stages[1];
        return IsOfType(split, "Split")
            && JsonFile.TryGet(split, "pattern", out JsonElement pattern)
            && JsonFile.TryGet(pattern, "Regex", out JsonElement expression) && Is(expression, Qwen2PreTokenizer.Pattern)
            && JsonFile.TryGet(split, "behavior", out JsonElement behavior) && Is(behavior, "Isolated")
            && !IsTrue(split, "invert")
            && IsOfType(byteLevel, "ByteLevel")
            && !IsTrue(byteLevel, "add_prefix_space")
            && JsonFile.TryGet(byteLevel, "use_regex", out JsonElement useRegex) && useRegex.ValueKind == JsonValueKind.False;
    }

    private static bool IsOfType(JsonElement element, string type) =>
        JsonFile.TryGet(element, "type", out JsonElement value) && Is(value, type);

    private static bool Is(JsonElement element, string text) => element.ValueKind == JsonValueKind.String && element.ValueEquals(text);

    private static bool IsZero(JsonElement element) =>
        element.ValueKind == JsonValueKind.Number && element.TryGetDouble(out double number) && number == 0;

    private static bool IsTrue(JsonElement element, string name) =>
        JsonFile.TryGet(element, name, out JsonElement value) && value.ValueKind == JsonValueKind.True;

    private static void Require(JsonFile json, bool holds, string what, string expected, JsonElement actual)
    {
        if (!holds)
        {
            string raw = actual.GetRawText();
            string shown = raw.Length <= 300 ? raw : raw[..300] + "…";
            throw json.Error($"{what} must be {expected} but is {shown}. Only Qwen2's tokenization is implemented.");
        }
    }
}

using System.Text.Json;
using Grpo.Models.Qwen.Config;

namespace Grpo.Models.Qwen.Text;

/// <summary>Reads the stages of a <c>tokenizer.json</c> and refuses those that would silently give other ids.</summary>
internal static class TokenizerJsonPipeline
{
    private const string Known = "Only the byte-level tokenization of Qwen2, Llama 3, SmolLM2 and GPT-2 is implemented.";

    // fuse_unk is harmless, because no byte becomes an unknown token. Transformers sets truncation and padding anew for each call.
    private static readonly string[] ModelKeys =
    [
        "type", "dropout", "unk_token", "fuse_unk", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "ignore_merges",
        "vocab", "merges",
    ];

    /// <summary>Reads every stage in the file. As in Hugging Face's tokenizers, a stage that is missing does nothing.</summary>
    /// <exception cref="InvalidDataException">A stage is not known.</exception>
    public static TokenizerPipeline Read(JsonFile json)
    {
        JsonElement model = json.Require(json.Root, "model", JsonValueKind.Object);
        RequireBytePairs(json, model);

        List<JsonElement> decoders = Stages(json, "decoder", "decoders");
        Require(json, decoders.All(IsByteLevel), "decoder", """{"type": "ByteLevel"}""");
        List<JsonElement> normalizers = Stages(json, "normalizer", "normalizers");
        Require(json, normalizers.All(stage => IsOfType(stage, "NFC")), "normalizer", """{"type": "NFC"} or null""");
        return new TokenizerPipeline(ReadWords(json), IsComposed: normalizers.Count > 0)
        {
            TakesWholeWords = IsTrue(model, "ignore_merges"),
            DropsUnknownBytes = !JsonFile.TryGet(model, "unk_token", out _),
            Prefix = ReadPrefix(json),
        };
    }

    private static void RequireBytePairs(JsonFile json, JsonElement model)
    {
        Require(json, !model.TryGetProperty("type", out JsonElement type) || Is(type, "BPE"), "model.type", "\"BPE\"", type);
        foreach (string name in (ReadOnlySpan<string>)["continuing_subword_prefix", "end_of_word_suffix"])
        {
            JsonFile.TryGet(model, name, out JsonElement affix);
            Require(json, IsUnset(affix) || Is(affix, ""), $"model.{name}", "empty", affix);
        }

        JsonFile.TryGet(model, "byte_fallback", out JsonElement fallback);
        Require(json, IsUnset(fallback) || fallback.ValueKind == JsonValueKind.False, "model.byte_fallback", "false", fallback);
        JsonFile.TryGet(model, "ignore_merges", out JsonElement whole);
        bool isFlag = IsUnset(whole) || whole.ValueKind is JsonValueKind.False or JsonValueKind.True;
        Require(json, isFlag, "model.ignore_merges", "true or false", whole);
        JsonFile.TryGet(model, "dropout", out JsonElement dropout);
        Require(json, IsUnset(dropout) || IsZero(dropout), "model.dropout", "0", dropout);
        foreach (JsonProperty property in model.EnumerateObject().Where(property => !ModelKeys.Contains(property.Name)))
        {
            throw json.Error($"model.{property.Name} is not known, so which ids a text has cannot be told.");
        }
    }

    // Digits or not; then a Split by a known expression and ByteLevel without one, or ByteLevel with its own, which is GPT-2's.
    private static WordRules ReadWords(JsonFile json)
    {
        List<JsonElement> stages = Stages(json, "pre_tokenizer", "pretokenizers");
        JsonElement digits = stages.FirstOrDefault();
        bool hasDigits = IsOfType(digits, "Digits");
        List<JsonElement> rest = hasDigits ? stages[1..] : stages;
        WordRules? words = rest.Count switch
        {
            1 when IsByteLevel(rest[0]) && UsesRegex(rest[0]) => WordRules.Gpt2,
            2 when IsByteLevel(rest[1]) && !UsesRegex(rest[1]) => ReadSplit(rest[0]),
            _ => null,
        };
        Require(json, words is not null && !IsTrue(rest[^1], "add_prefix_space"), "pre_tokenizer",
            "ByteLevel without add_prefix_space, behind a Split by Qwen2's, Llama 3's or GPT-2's expression or with use_regex, and "
            + "optionally behind Digits");
        return hasDigits ? words!.WithNumbersApart(IsTrue(digits, "individual_digits")) : words!;
    }

    private static WordRules? ReadSplit(JsonElement split)
    {
        bool isKnown = IsOfType(split, "Split")
            && JsonFile.TryGet(split, "behavior", out JsonElement behavior) && Is(behavior, "Isolated")
            && !IsTrue(split, "invert");
        return isKnown
            && JsonFile.TryGet(split, "pattern", out JsonElement pattern)
            && JsonFile.TryGet(pattern, "Regex", out JsonElement expression) && expression.ValueKind == JsonValueKind.String
            ? WordRules.FromPattern(expression.GetString()!)
            : null;
    }

    // ByteLevel sets offsets only. TemplateProcessing puts tokens around a text; which ones, its special_tokens say.
    private static List<int> ReadPrefix(JsonFile json)
    {
        const string Field = "post_processor";
        var ids = new List<int>();
        foreach (JsonElement stage in Stages(json, Field, "processors").Where(stage => !IsByteLevel(stage)))
        {
            bool isBeforeText = true;
            JsonElement pieces = default;
            bool isTemplate = IsOfType(stage, "TemplateProcessing")
                && JsonFile.TryGet(stage, "single", out pieces) && pieces.ValueKind == JsonValueKind.Array;
            foreach (JsonElement piece in isTemplate ? [.. pieces.EnumerateArray()] : Array.Empty<JsonElement>())
            {
                bool isText = JsonFile.TryGet(piece, "Sequence", out _);
                isTemplate &= isBeforeText && (isText || JsonFile.TryGet(piece, "SpecialToken", out _));
                isBeforeText &= !isText;
                if (isTemplate && !isText)
                {
                    ids.AddRange(IdsOf(json, stage, piece));
                }
            }

            Require(json, isTemplate && !isBeforeText, Field,
                """{"type": "ByteLevel"} or a TemplateProcessing that puts tokens before a text only""");
        }

        return ids;
    }

    private static IEnumerable<int> IdsOf(JsonFile json, JsonElement stage, JsonElement piece)
    {
        JsonElement special = json.Require(piece, "SpecialToken", JsonValueKind.Object);
        string name = json.Require(special, "id", JsonValueKind.String).GetString()!;
        JsonElement token = json.Require(json.Require(stage, "special_tokens", JsonValueKind.Object), name, JsonValueKind.Object);
        foreach (JsonElement id in json.Require(token, "ids", JsonValueKind.Array).EnumerateArray())
        {
            yield return json.Id(id, $"An id of post_processor.special_tokens '{name}'");
        }
    }

    /// <summary>Returns the stages of a field: none if it is null or missing, one, or those of a sequence.</summary>
    private static List<JsonElement> Stages(JsonFile json, string field, string list)
    {
        var stages = new List<JsonElement>();
        if (JsonFile.TryGet(json.Root, field, out JsonElement whole))
        {
            Add(whole);
        }

        return stages;

        void Add(JsonElement stage)
        {
            JsonElement parts = default;
            if (!IsOfType(stage, "Sequence") || !JsonFile.TryGet(stage, list, out parts) || parts.ValueKind != JsonValueKind.Array)
            {
                stages.Add(stage);
                return;
            }

            foreach (JsonElement part in parts.EnumerateArray())
            {
                Add(part);
            }
        }
    }

    private static bool IsByteLevel(JsonElement stage) => IsOfType(stage, "ByteLevel");

    private static bool UsesRegex(JsonElement byteLevel) =>
        !JsonFile.TryGet(byteLevel, "use_regex", out JsonElement value) || value.ValueKind != JsonValueKind.False;

    private static bool IsOfType(JsonElement element, string type) =>
        JsonFile.TryGet(element, "type", out JsonElement value) && Is(value, type);

    private static bool Is(JsonElement element, string text) => element.ValueKind == JsonValueKind.String && element.ValueEquals(text);

    private static bool IsUnset(JsonElement element) => element.ValueKind is JsonValueKind.Undefined or JsonValueKind.Null;

    private static bool IsZero(JsonElement element) =>
        element.ValueKind == JsonValueKind.Number && element.TryGetDouble(out double number) && number == 0;

    private static bool IsTrue(JsonElement element, string name) =>
        JsonFile.TryGet(element, name, out JsonElement value) && value.ValueKind == JsonValueKind.True;

    private static void Require(JsonFile json, bool holds, string field, string expected) =>
        Require(json, holds, field, expected, json.Root.TryGetProperty(field, out JsonElement value) ? value : default);

    private static void Require(JsonFile json, bool holds, string what, string expected, JsonElement actual)
    {
        if (!holds)
        {
            string raw = actual.ValueKind == JsonValueKind.Undefined ? "missing" : actual.GetRawText();
            string shown = raw.Length <= 300 ? raw : raw[..300] + "…";
            throw json.Error($"{what} must be {expected} but is {shown}. {Known}");
        }
    }
}

using System.Text.Json;
using Grpo.IO;
using Grpo.Models.Qwen.Config;

namespace Grpo.Models.Qwen.Text;

/// <summary>Reads which token ids end a completion and which one pads.</summary>
internal static class SpecialTokenIds
{
    private const string EndOfText = "<|endoftext|>";

    /// <summary>Reads the end tokens.</summary>
    /// <remarks>
    /// They are those of <c>generation_config.json</c>. Without that file, those that <c>config.json</c> and <c>tokenizer_config.json</c>
    /// name, and <c>&lt;|endoftext|&gt;</c>. If nothing names any, those of Qwen2.5's chat models.
    /// </remarks>
    public static IReadOnlySet<int> ReadEnds(TokenizerFiles files, Func<string, int?> idOf, int vocabularySize)
    {
        HashSet<int> ends = ReadIds(files, TokenizerFiles.Generation, "eos_token_id", vocabularySize);
        if (ends.Count > 0)
        {
            return ends;
        }

        ends.UnionWith(ReadIds(files, TokenizerFiles.Model, "eos_token_id", vocabularySize));
        string? named = ReadContent(files, TokenizerFiles.Configuration, "eos_token")
            ?? ReadContent(files, TokenizerFiles.SpecialTokens, "eos_token");
        if (named is not null)
        {
            ends.Add(idOf(named) ?? throw NoSuchToken(files, "eos_token", named));
        }
        else if (ends.Count == 0 && idOf("<|im_end|>") is { } endOfMessage)
        {
            ends.Add(endOfMessage);
        }

        if (idOf(EndOfText) is { } endOfText)
        {
            ends.Add(endOfText);
        }

        return ends.Count > 0
            ? ends
            : throw new InvalidDataException(
                $"The tokenizer in '{files.Source}' has no end token: no eos_token_id in {TokenizerFiles.Generation} or "
                + $"{TokenizerFiles.Model}, no eos_token in {TokenizerFiles.Configuration}, no added token {EndOfText}. "
                + "Name one, or completions would never end.");
    }

    /// <summary>Returns the text of <c>generation_config.json</c> with these end tokens and everything else unchanged.</summary>
    public static byte[] WriteEnds(TokenizerFiles files, IReadOnlySet<int> ends)
    {
        using var stream = new MemoryStream();
        using JsonFile? json = files.Find(TokenizerFiles.Generation) is { } content
            ? new JsonFile(files.PathOf(TokenizerFiles.Generation), content)
            : null;
        using (var writer = new Utf8JsonWriter(stream, TokenizerConfiguration.Indented))
        {
            writer.WriteStartObject();
            foreach (JsonProperty property in json?.Root.EnumerateObject().Where(property => !property.NameEquals("eos_token_id")) ?? [])
            {
                property.WriteTo(writer);
            }

            writer.WriteStartArray("eos_token_id");
            foreach (int id in ends.Order())
            {
                writer.WriteNumberValue(id);
            }

            writer.WriteEndArray();
            writer.WriteEndObject();
        }

        return stream.ToArray();
    }

    /// <summary>
    /// Reads the pad token of <c>tokenizer_config.json</c>, else of <c>generation_config.json</c>, else <c>&lt;|endoftext|&gt;</c>, else
    /// the end token with the lowest id.
    /// </summary>
    public static int ReadPad(TokenizerFiles files, Func<string, int?> idOf, int vocabularySize, IReadOnlySet<int> ends)
    {
        string? named = ReadContent(files, TokenizerFiles.Configuration, "pad_token")
            ?? ReadContent(files, TokenizerFiles.SpecialTokens, "pad_token");
        if (named is not null)
        {
            return idOf(named) ?? throw NoSuchToken(files, "pad_token", named);
        }

        HashSet<int> ids = ReadIds(files, TokenizerFiles.Generation, "pad_token_id", vocabularySize);
        return ids.Count == 1 ? ids.Single() : idOf(EndOfText) ?? ends.Min();
    }

    /// <summary>
    /// Reads the tokens before a text: <c>bos_token</c> if <c>add_bos_token</c> is true, none if it is false, else those of the
    /// post-processor.
    /// </summary>
    /// <param name="files">The files.</param>
    /// <param name="idOf">Returns the id of a token; null if there is none.</param>
    /// <param name="vocabularySize">The number of ids.</param>
    /// <param name="ofProcessor">The ids of the post-processor.</param>
    public static IReadOnlyList<int> ReadPrefix(
        TokenizerFiles files, Func<string, int?> idOf, int vocabularySize, IReadOnlyList<int> ofProcessor)
    {
        if (ofProcessor.FirstOrDefault(id => id >= vocabularySize, -1) is >= 0 and int outside)
        {
            throw new InvalidDataException(
                $"'{files.PathOf(TokenizerFiles.Tokenizer)}': the id {outside} in post_processor is outside the tokenizer's ids 0 to "
                + $"{vocabularySize - 1}.");
        }

        if (TokenizerSettings.AddsBeginToken(files) is not { } adds)
        {
            return ofProcessor;
        }

        string? named = ReadContent(files, TokenizerFiles.Configuration, "bos_token");
        return adds && named is not null ? [idOf(named) ?? throw NoSuchToken(files, "bos_token", named)] : [];
    }

    /// <summary>Reads the text of a token that a configuration names, as a string or as an object with <c>content</c>.</summary>
    public static string? ReadContent(JsonFile json, string property) =>
        JsonFile.TryGet(json.Root, property, out JsonElement value) ? ContentOf(json, value, property) : null;

    public static string ContentOf(JsonFile json, JsonElement value, string property) =>
        value.ValueKind == JsonValueKind.Object
            ? json.Require(value, "content", JsonValueKind.String).GetString()!
            : json.Text(value, $"'{property}'");

    private static string? ReadContent(TokenizerFiles files, string name, string property)
    {
        if (files.Find(name) is not { } content)
        {
            return null;
        }

        using var json = new JsonFile(files.PathOf(name), content);
        return ReadContent(json, property);
    }

    private static HashSet<int> ReadIds(TokenizerFiles files, string name, string property, int vocabularySize)
    {
        var ids = new HashSet<int>();
        if (files.Find(name) is not { } content)
        {
            return ids;
        }

        using var json = new JsonFile(files.PathOf(name), content);
        if (!JsonFile.TryGet(json.Root, property, out JsonElement value))
        {
            return ids;
        }

        IEnumerable<JsonElement> elements = value.ValueKind == JsonValueKind.Array ? value.EnumerateArray() : [value];
        foreach (JsonElement element in elements)
        {
            int id = json.Id(element, $"'{property}'");
            ids.Add(id < vocabularySize
                ? id
                : throw json.Error(
                    $"{property} {id} is outside the tokenizer's ids 0 to {vocabularySize - 1}. The files belong to different models."));
        }

        return ids;
    }

    private static InvalidDataException NoSuchToken(TokenizerFiles files, string property, string content) =>
        new($"The tokenizer in '{files.Source}' names '{TerminalText.EscapeLine(content)}' as {property}, but has no such token.");
}

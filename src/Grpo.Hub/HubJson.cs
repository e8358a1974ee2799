using System.Text.Json;
using System.Text.Unicode;
using Grpo.IO;

namespace Grpo.Hub;

/// <summary>A JSON object from a repository; every error names the file or address that it was read from.</summary>
/// <remarks>Grpo.Models.Qwen has its own reader for the files of a model, because packages share no internal types.</remarks>
internal sealed class HubJson : IDisposable
{
    private readonly string _source;
    private readonly JsonDocument _document;

    /// <param name="source">The path or address, for messages.</param>
    /// <param name="utf8">The content.</param>
    /// <exception cref="InvalidDataException">The content is not UTF-8, not JSON, no object, or holds half a surrogate pair.</exception>
    public HubJson(string source, ReadOnlyMemory<byte> utf8)
    {
        _source = source;
        ReadOnlyMemory<byte> json = utf8.Span.StartsWith("\uFEFF"u8) ? utf8[3..] : utf8;
        if (!Utf8.IsValid(json.Span))
        {
            throw Error("The file is not valid UTF-8.");
        }

        try
        {
            _document = JsonDocument.Parse(json);
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"'{source}' is not valid JSON (it may be cut off): {TerminalText.EscapeLine(e.Message)}", e);
        }

        try
        {
            if (Root.ValueKind != JsonValueKind.Object)
            {
                throw Error($"The file must hold a JSON object but holds {Describe(Root.ValueKind)}.");
            }

            RequireText(Root);
        }
        catch
        {
            _document.Dispose();
            throw;
        }
    }

    /// <summary>The object.</summary>
    public JsonElement Root => _document.RootElement;

    /// <summary>Creates an error that names the source.</summary>
    public InvalidDataException Error(string message) => new($"'{_source}': {TerminalText.EscapeLine(message)}");

    /// <summary>Returns a property that must be present and of a kind.</summary>
    public JsonElement Require(JsonElement parent, string name, JsonValueKind kind)
    {
        if (parent.ValueKind != JsonValueKind.Object || !parent.TryGetProperty(name, out JsonElement value)
            || value.ValueKind == JsonValueKind.Null)
        {
            throw Error($"'{name}' is missing; {Describe(kind)} is expected.");
        }

        return value.ValueKind == kind ? value : throw Error($"'{name}' must be {Describe(kind)} but is {Describe(value.ValueKind)}.");
    }

    /// <summary>Returns a value that must be an object.</summary>
    public JsonElement RequireObject(JsonElement value, string what) => value.ValueKind == JsonValueKind.Object
        ? value
        : throw Error($"{what} must be an object but is {Describe(value.ValueKind)}.");

    /// <summary>Returns the text of a value that must be a string.</summary>
    public string Text(JsonElement value, string what) => value.ValueKind == JsonValueKind.String
        ? value.GetString()!
        : throw Error($"{what} must be a string but is {Describe(value.ValueKind)}.");

    public void Dispose() => _document.Dispose();

    // Half a surrogate pair is valid JSON but not text. Reading it later would fail in the middle of a download.
    private void RequireText(JsonElement element)
    {
        try
        {
            if (element.ValueKind == JsonValueKind.String)
            {
                element.GetString();
            }
            else if (element.ValueKind == JsonValueKind.Array)
            {
                foreach (JsonElement item in element.EnumerateArray())
                {
                    RequireText(item);
                }
            }
            else if (element.ValueKind == JsonValueKind.Object)
            {
                foreach (JsonProperty property in element.EnumerateObject())
                {
                    _ = property.Name;
                    RequireText(property.Value);
                }
            }
        }
        catch (InvalidOperationException e)
        {
            throw new InvalidDataException($"'{_source}': a string holds half a surrogate pair, which is not text.", e);
        }
    }

    private static string Describe(JsonValueKind kind) => kind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "an array",
        JsonValueKind.String => "a string",
        JsonValueKind.Number => "a number",
        JsonValueKind.True or JsonValueKind.False => "true or false",
        _ => "null",
    };
}

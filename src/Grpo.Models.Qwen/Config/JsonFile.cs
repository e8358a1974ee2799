using System.Text.Json;
using System.Text.Unicode;
using Grpo.IO;

namespace Grpo.Models.Qwen.Config;

/// <summary>A JSON file of a checkpoint; every error names the file.</summary>
internal sealed class JsonFile : IDisposable
{
    private readonly JsonDocument _document;

    public JsonFile(string path, ReadOnlyMemory<byte> utf8)
    {
        FilePath = path;
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
            throw new InvalidDataException($"'{path}' is not valid JSON (it may be cut off): {TerminalText.EscapeLine(e.Message)}", e);
        }

        JsonValueKind kind = _document.RootElement.ValueKind;
        if (kind != JsonValueKind.Object)
        {
            _document.Dispose();
            throw Error($"The file must hold a JSON object but holds {Describe(kind)}.");
        }

        // Half a surrogate pair is valid JSON but not text. Reading it later would fail without naming the file.
        if (json.Span.IndexOf("\\ud"u8) >= 0 || json.Span.IndexOf("\\uD"u8) >= 0)
        {
            try
            {
                RequireText(_document.RootElement, $"'{path}'");
            }
            catch
            {
                _document.Dispose();
                throw;
            }
        }
    }

    public string FilePath { get; }

    public JsonElement Root => _document.RootElement;

    public InvalidDataException Error(string message) => new($"'{FilePath}': {TerminalText.EscapeLine(message)}");

    /// <summary>Finds a property that is present and not null.</summary>
    public static bool TryGet(JsonElement parent, string name, out JsonElement value)
    {
        value = default;
        return parent.ValueKind == JsonValueKind.Object && parent.TryGetProperty(name, out value) && value.ValueKind != JsonValueKind.Null;
    }

    public JsonElement Require(JsonElement parent, string name, JsonValueKind kind)
    {
        if (!TryGet(parent, name, out JsonElement value))
        {
            throw Error($"'{name}' is missing; {Describe(kind)} is expected.");
        }

        return value.ValueKind == kind ? value : throw Error($"'{name}' must be {Describe(kind)} but is {Describe(value.ValueKind)}.");
    }

    public string Text(JsonElement value, string what) => value.ValueKind == JsonValueKind.String
        ? value.GetString()!
        : throw Error($"{what} must be a string but is {Describe(value.ValueKind)}.");

    /// <summary>Reads an id: a whole number from 0 to 2³¹ − 1.</summary>
    public int Id(JsonElement value, string what) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int id) && id >= 0
            ? id
            : throw Error($"{what} must be a whole number of at least 0 but is {Excerpt(value)}.");

    public void Dispose() => _document.Dispose();

    /// <summary>Refuses half a surrogate pair in a name or a string.</summary>
    /// <param name="element">The element to search, including everything inside it.</param>
    /// <param name="source">The name of the file, for the message.</param>
    /// <exception cref="InvalidDataException">A name or string holds half a surrogate pair.</exception>
    public static void RequireText(JsonElement element, string source)
    {
        try
        {
            switch (element.ValueKind)
            {
                case JsonValueKind.String:
                    element.GetString();
                    break;
                case JsonValueKind.Array:
                    foreach (JsonElement item in element.EnumerateArray())
                    {
                        RequireText(item, source);
                    }

                    break;
                case JsonValueKind.Object:
                    foreach (JsonProperty property in element.EnumerateObject())
                    {
                        _ = property.Name;
                        RequireText(property.Value, source);
                    }

                    break;
            }
        }
        catch (InvalidOperationException e)
        {
            throw new InvalidDataException($"{source}: a string holds half a surrogate pair, which is not text.", e);
        }
    }

    private static string Excerpt(JsonElement value)
    {
        string raw = value.GetRawText();
        return raw.Length <= 40 ? raw : raw[..40] + "…";
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

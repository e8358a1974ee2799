using System.Text.Json;

namespace Grpo.Models.Qwen.Config;

/// <summary>The fields of a <c>config.json</c>. Remembers which of them were read and collects what is wrong with them.</summary>
/// <param name="root">The object of the file.</param>
internal sealed class ConfigFields(JsonElement root)
{
    private readonly HashSet<string> _read = new(StringComparer.Ordinal);

    /// <summary>The problems found so far, one sentence for each field that is missing or of the wrong kind.</summary>
    internal List<string> Problems { get; } = [];

    /// <summary>True if the field is present and not null.</summary>
    internal bool Has(string name) => Find(name) is not null;

    /// <summary>Returns the field unparsed; null if it is missing or null.</summary>
    internal JsonElement? Raw(string name) => Find(name);

    /// <summary>
    /// Returns the field unparsed, null if it is missing or null. The field does not count as read, so saving writes it back.
    /// </summary>
    internal JsonElement? Peek(string name) =>
        root.TryGetProperty(name, out JsonElement value) && value.ValueKind != JsonValueKind.Null ? value : null;

    /// <summary>Returns copies of the fields that were not read. They stay valid when the document is disposed.</summary>
    internal IReadOnlyDictionary<string, JsonElement> Unread()
    {
        var others = new SortedDictionary<string, JsonElement>(StringComparer.Ordinal);
        foreach (JsonProperty property in root.EnumerateObject().Where(property => !_read.Contains(property.Name)))
        {
            others[property.Name] = property.Value.Clone();
        }

        return others;
    }

    /// <summary>Reads a whole number. Returns null and adds a problem if it is of another kind, or missing without a default.</summary>
    internal int? Integer(string name, int? defaultValue = null)
    {
        if (Find(name) is not { } value)
        {
            if (defaultValue is null)
            {
                Problems.Add($"{name} is missing.");
            }

            return defaultValue;
        }

        if (value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int number))
        {
            return number;
        }

        Problems.Add($"{name} is {Excerpt(value)} but must be a whole number.");
        return null;
    }

    internal double Real(string name, double defaultValue) => Find(name) is { } value ? Real(name, value) : defaultValue;

    internal bool Flag(string name, bool defaultValue)
    {
        if (Find(name) is not { } value)
        {
            return defaultValue;
        }

        if (value.ValueKind is JsonValueKind.True or JsonValueKind.False)
        {
            return value.GetBoolean();
        }

        Problems.Add($"{name} is {Excerpt(value)} but must be true or false.");
        return defaultValue;
    }

    internal string? Word(string name)
    {
        if (Find(name) is not { } value)
        {
            return null;
        }

        if (value.ValueKind == JsonValueKind.String)
        {
            return value.GetString();
        }

        Problems.Add($"{name} is {Excerpt(value)} but must be a string.");
        return null;
    }

    internal IReadOnlyList<string> Words(string name) => Words(name, Find(name));

    internal IReadOnlyList<string> Words(string name, JsonElement? found)
    {
        if (found is not { } value)
        {
            return [];
        }

        if (value.ValueKind == JsonValueKind.Array && value.EnumerateArray().All(item => item.ValueKind == JsonValueKind.String))
        {
            return [.. value.EnumerateArray().Select(item => item.GetString()!)];
        }

        Problems.Add($"{name} is {Excerpt(value)} but must be a list of strings.");
        return [];
    }

    /// <summary>Reads one id or a list of ids.</summary>
    internal IReadOnlyList<int> Ids(string name)
    {
        if (Find(name) is not { } value)
        {
            return [];
        }

        JsonElement[] items = value.ValueKind == JsonValueKind.Array ? [.. value.EnumerateArray()] : [value];
        var ids = new List<int>();
        foreach (JsonElement item in items)
        {
            if (item.ValueKind != JsonValueKind.Number || !item.TryGetInt32(out int id) || id < 0)
            {
                Problems.Add($"{name} is {Excerpt(value)} but must be a token id or a list of token ids.");
                return [];
            }

            ids.Add(id);
        }

        return ids;
    }

    /// <summary>Reads a number. Returns NaN and adds a problem if it is of another kind.</summary>
    internal double Real(string name, JsonElement value)
    {
        if (value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out double number))
        {
            return number;
        }

        Problems.Add($"{name} is {Excerpt(value)} but must be a number.");
        return double.NaN;
    }

    private JsonElement? Find(string name)
    {
        _read.Add(name);
        return Peek(name);
    }

    internal static string Excerpt(JsonElement value)
    {
        string text = value.GetRawText();
        return text.Length <= 60 ? text : text[..60] + "…";
    }
}

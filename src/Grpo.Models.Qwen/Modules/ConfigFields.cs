using System.Text.Json;

namespace Grpo.Models.Qwen;

/// <summary>The fields of a <c>config.json</c>: remembers which were read and collects what is wrong with them.</summary>
/// <param name="root">The file's object.</param>
internal sealed class ConfigFields(JsonElement root)
{
    private readonly HashSet<string> _read = new(StringComparer.Ordinal);

    /// <summary>One sentence per field that is missing or of the wrong kind.</summary>
    internal List<string> Problems { get; } = [];

    /// <summary>Whether the field is there and not null.</summary>
    internal bool Has(string name) => Find(name) is not null;

    /// <summary>The field as it is; null when it is missing or null.</summary>
    internal JsonElement? Raw(string name) => Find(name);

    /// <summary>The fields that nobody asked for, independent of the document.</summary>
    internal IReadOnlyDictionary<string, JsonElement> Unread()
    {
        var others = new SortedDictionary<string, JsonElement>(StringComparer.Ordinal);
        foreach (JsonProperty property in root.EnumerateObject().Where(property => !_read.Contains(property.Name)))
        {
            others[property.Name] = property.Value.Clone();
        }

        return others;
    }

    /// <summary>A whole number; null, and a problem, when it is not one or is missing without a default.</summary>
    internal int? Integer(string name, int? missing = null)
    {
        if (Find(name) is not { } value)
        {
            if (missing is null)
            {
                Problems.Add($"{name} is missing.");
            }

            return missing;
        }

        if (value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int number))
        {
            return number;
        }

        Problems.Add($"{name} is {Excerpt(value)} but must be a whole number.");
        return null;
    }

    internal double Real(string name, double missing) => Find(name) is { } value ? Real(name, value) : missing;

    internal bool Flag(string name, bool missing)
    {
        if (Find(name) is not { } value)
        {
            return missing;
        }

        if (value.ValueKind is JsonValueKind.True or JsonValueKind.False)
        {
            return value.GetBoolean();
        }

        Problems.Add($"{name} is {Excerpt(value)} but must be true or false.");
        return missing;
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

    internal IReadOnlyList<string> Words(string name)
    {
        if (Find(name) is not { } value)
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

    /// <summary>One id or a list of ids.</summary>
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

    /// <summary><c>rope_theta</c>, or the same inside the newer <c>rope_parameters</c>, whose type must be the plain one.</summary>
    internal double RopeTheta(double missing)
    {
        double theta = Real("rope_theta", missing);
        if (Find("rope_parameters") is not { } parameters)
        {
            return theta;
        }

        if (parameters.ValueKind != JsonValueKind.Object)
        {
            Problems.Add($"rope_parameters is {Excerpt(parameters)} but must be an object.");
            return theta;
        }

        if (parameters.TryGetProperty("rope_type", out JsonElement type)
            && !(type.ValueKind == JsonValueKind.String && type.ValueEquals("default")))
        {
            Problems.Add($"rope_parameters.rope_type is {Excerpt(type)} but only \"default\" is supported: {Qwen2ConfigFile.OtherAngles}.");
        }

        return parameters.TryGetProperty("rope_theta", out JsonElement nested) ? Real("rope_parameters.rope_theta", nested) : theta;
    }

    private double Real(string name, JsonElement value)
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
        return root.TryGetProperty(name, out JsonElement value) && value.ValueKind != JsonValueKind.Null ? value : null;
    }

    private static string Excerpt(JsonElement value)
    {
        string text = value.GetRawText();
        return text.Length <= 60 ? text : text[..60] + "…";
    }
}

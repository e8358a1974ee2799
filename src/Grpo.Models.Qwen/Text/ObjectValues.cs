using System.Collections;
using System.Globalization;
using System.Numerics;
using System.Text.Json;
using System.Text.Json.Nodes;
using Grpo.Models.Qwen.Jinja;
using Microsoft.Extensions.AI;

namespace Grpo.Models.Qwen.Text;

/// <summary>Converts .NET objects to the values of a template. Numbers keep their kind: 1.0 is a float.</summary>
internal static class ObjectValues
{
    /// <summary>Converts an object. An object of another type is serialized to JSON first.</summary>
    public static object? From(object? value)
    {
        switch (value)
        {
            case null or string or bool:
                return value;
            case int or long or short or byte or sbyte or ushort or uint or ulong:
                return new BigInteger(Convert.ToDecimal(value, CultureInfo.InvariantCulture));
            case BigInteger number:
                return number;
            case float or double or decimal:
                return Convert.ToDouble(value, CultureInfo.InvariantCulture);
            case JsonElement element:
                return JsonValues.From(element);
            case JsonValue scalar:
                return From(scalar.GetValue<object>());
            case JsonObject fields:
                return Dictionary(fields);
            case JsonArray elements:
                return new JinjaList([.. elements.Select(From)]);
            case IDictionary<string, object?> dictionary:
                return Dictionary(dictionary);
            case IList list:
                return new JinjaList([.. list.Cast<object?>().Select(From)]);
            default:
                return JsonValues.From(
                    JsonSerializer.SerializeToElement(value, AIJsonUtilities.DefaultOptions.GetTypeInfo(value.GetType())));
        }
    }

    private static JinjaDict Dictionary<T>(IEnumerable<KeyValuePair<string, T>> items)
    {
        var converted = new JinjaDict();
        foreach ((string key, T item) in items)
        {
            converted.Set(key, From(item));
        }

        return converted;
    }
}

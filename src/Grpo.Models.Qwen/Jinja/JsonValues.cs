using System.Globalization;
using System.Numerics;
using System.Text.Json;

namespace Grpo.Models.Qwen.Jinja;

/// <summary>Converts JSON to the values of a template.</summary>
internal static class JsonValues
{
    /// <summary>Converts a JSON value. Numbers keep their kind: a whole number of any length, or a float.</summary>
    /// <exception cref="NotSupportedException">A whole number has too many digits, or a text has half a surrogate pair.</exception>
    public static object? From(JsonElement value)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.Object:
                var dictionary = new JinjaDict();
                foreach (JsonProperty property in value.EnumerateObject())
                {
                    dictionary.Set(Text(() => property.Name), From(property.Value));
                }

                return dictionary;
            case JsonValueKind.Array:
                return new JinjaList([.. value.EnumerateArray().Select(From)]);
            case JsonValueKind.String:
                return Text(() => value.GetString()!);
            case JsonValueKind.Number:
                return Number(value.GetRawText());
            case JsonValueKind.True or JsonValueKind.False:
                return value.ValueKind == JsonValueKind.True;
            default:
                return null;
        }
    }

    private static string Text(Func<string> read)
    {
        try
        {
            return read();
        }
        catch (InvalidOperationException exception)
        {
            throw new NotSupportedException("A JSON text has half a surrogate pair, which is no Unicode.", exception);
        }
    }

    private static object Number(string digits) => digits.AsSpan().IndexOfAny(".eE") >= 0
        ? double.Parse(digits, CultureInfo.InvariantCulture)
        : digits.Length <= JinjaLimits.IntegerDigits
            ? BigInteger.Parse(digits, CultureInfo.InvariantCulture)
            : throw new NotSupportedException(
                $"A JSON number has {digits.Length} digits; {JinjaLimits.IntegerDigits} are allowed for whole numbers.");
}

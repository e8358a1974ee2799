using System.Text.Json;
using Grpo.Testing;

namespace Grpo.Core.Tests.Golden;

/// <summary>Reads the JSON files of the reference data.</summary>
internal static class GoldenFile
{
    /// <summary>The root of a file below shared/golden.</summary>
    public static JsonElement Read(string name)
    {
        using FileStream stream = File.OpenRead(SharedData.Path("golden", name));
        using JsonDocument document = JsonDocument.Parse(stream);
        return document.RootElement.Clone();
    }

    /// <summary>A number; null stands for NaN.</summary>
    public static double Number(this JsonElement element) => element.ValueKind == JsonValueKind.Null ? double.NaN : element.GetDouble();

    /// <summary>A number, or null.</summary>
    public static double? NumberOrNull(this JsonElement element) => element.ValueKind == JsonValueKind.Null ? null : element.GetDouble();

    /// <summary>All numbers of an array of any depth, row by row.</summary>
    public static float[] Floats(this JsonElement element) =>
        element.ValueKind == JsonValueKind.Array ? [.. element.EnumerateArray().SelectMany(Floats)] : [(float)element.Number()];

    /// <summary>The sizes of a rectangular array.</summary>
    public static long[] Shape(this JsonElement element) =>
        element.ValueKind == JsonValueKind.Array ? [element.GetArrayLength(), .. Shape(element[0])] : [];
}

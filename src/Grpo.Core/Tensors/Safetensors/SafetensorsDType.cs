using static TorchSharp.torch;

namespace Grpo.Tensors;

/// <summary>Maps the element types of the safetensors format that torch supports to their names in the header.</summary>
internal static class SafetensorsDType
{
    private static readonly (string Name, ScalarType Type, int Bytes)[] Types =
    [
        ("F64", ScalarType.Float64, 8),
        ("F32", ScalarType.Float32, 4),
        ("F16", ScalarType.Float16, 2),
        ("BF16", ScalarType.BFloat16, 2),
        ("I64", ScalarType.Int64, 8),
        ("I32", ScalarType.Int32, 4),
        ("I16", ScalarType.Int16, 2),
        ("I8", ScalarType.Int8, 1),
        ("U8", ScalarType.Byte, 1),
        ("BOOL", ScalarType.Bool, 1),
    ];

    private static readonly Dictionary<string, ScalarType> ByName =
        Types.ToDictionary(type => type.Name, type => type.Type, StringComparer.Ordinal);
    private static readonly Dictionary<ScalarType, (string Name, int Bytes)> ByType =
        Types.ToDictionary(type => type.Type, type => (type.Name, type.Bytes));

    /// <summary>The names of all supported types, for messages.</summary>
    public static string Supported { get; } = string.Join(", ", Types.Select(type => type.Name));

    public static bool IsSupported(ScalarType type) => ByType.ContainsKey(type);

    public static bool TryParse(string name, out ScalarType type) => ByName.TryGetValue(name, out type);

    /// <summary>Returns the name of a supported type in the header.</summary>
    public static string NameOf(ScalarType type) => ByType[type].Name;

    /// <summary>Returns the number of bytes per element of a supported type.</summary>
    public static int SizeOf(ScalarType type) => ByType[type].Bytes;

    public static bool IsFloat(ScalarType type) =>
        type is ScalarType.Float64 or ScalarType.Float32 or ScalarType.Float16 or ScalarType.BFloat16;
}

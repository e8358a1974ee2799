namespace Grpo.Rewards;

/// <summary>The kinds of values in Thrift's compact protocol, as far as a reader must tell them apart.</summary>
internal enum ThriftKind
{
    Boolean,
    Byte,
    Integer,
    Double,
    Binary,
    Struct,
    List,
}

/// <summary>What may stand in a field or a list.</summary>
/// <param name="Kind">Its kind; of a list, that of its elements.</param>
/// <param name="Fields">The fields of a struct.</param>
/// <param name="IsList">Whether it is a list of these.</param>
internal sealed record ThriftType(ThriftKind Kind, ThriftStruct? Fields = null, bool IsList = false)
{
    public static ThriftType Flag { get; } = new(ThriftKind.Boolean);

    public static ThriftType Octet { get; } = new(ThriftKind.Byte);

    public static ThriftType Number { get; } = new(ThriftKind.Integer);

    public static ThriftType Real { get; } = new(ThriftKind.Double);

    public static ThriftType Bytes { get; } = new(ThriftKind.Binary);

    public static ThriftType Of(ThriftStruct fields) => new(ThriftKind.Struct, fields);

    public ThriftType List() => this with { IsList = true };
}

/// <summary>The fields of a struct by their numbers; of those that are not listed, numbers and texts are passed over.</summary>
internal sealed class ThriftStruct(params IReadOnlyList<(int Id, ThriftType Type)> fields)
{
    private readonly Dictionary<int, ThriftType> _fields = fields.ToDictionary(field => field.Id, field => field.Type);

    public ThriftType? Find(int id) => _fields.GetValueOrDefault(id);
}

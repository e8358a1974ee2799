namespace Grpo.Rewards.Reading;

/// <summary>The kinds of values in Thrift's compact protocol that a reader must distinguish.</summary>
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

/// <summary>The type of a field or of a list's elements.</summary>
/// <param name="Kind">The kind of the value, or of the elements if it is a list.</param>
/// <param name="Fields">The fields of a struct, or null.</param>
/// <param name="IsList">True if it is a list.</param>
internal sealed record ThriftType(ThriftKind Kind, ThriftStruct? Fields = null, bool IsList = false)
{
    public static ThriftType Flag { get; } = new(ThriftKind.Boolean);

    public static ThriftType Octet { get; } = new(ThriftKind.Byte);

    public static ThriftType Number { get; } = new(ThriftKind.Integer);

    public static ThriftType Real { get; } = new(ThriftKind.Double);

    public static ThriftType Bytes { get; } = new(ThriftKind.Binary);

    public static ThriftType Struct(ThriftStruct fields) => new(ThriftKind.Struct, fields);

    public ThriftType List() => this with { IsList = true };
}

/// <summary>The fields of a struct by number. Numbers and texts in fields that are not listed are skipped.</summary>
internal sealed class ThriftStruct(params IReadOnlyList<(int Id, ThriftType Type)> fields)
{
    private readonly Dictionary<int, ThriftType> _fields = fields.ToDictionary(field => field.Id, field => field.Type);

    public ThriftType? Find(int id) => _fields.GetValueOrDefault(id);
}

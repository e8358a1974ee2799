using static Grpo.Rewards.ThriftType;

namespace Grpo.Rewards;

/// <summary>The structs of parquet's metadata, as its <c>parquet.thrift</c> defines them.</summary>
internal static class ParquetFormat
{
    private static readonly ThriftStruct Empty = new();

    private static readonly ThriftStruct Statistics = new((1, Bytes), (2, Bytes), (3, Number), (4, Number), (5, Bytes), (6, Bytes), (7, Flag), (8, Flag));

    private static readonly ThriftStruct KeyValue = new((1, Bytes), (2, Bytes));

    private static readonly ThriftStruct TimeType = new((1, Flag), (2, Of(new ThriftStruct((1, Of(Empty)), (2, Of(Empty)), (3, Of(Empty))))));

    private static readonly ThriftStruct LogicalType = new(
        (1, Of(Empty)), (2, Of(Empty)), (3, Of(Empty)), (4, Of(Empty)), (5, Of(new ThriftStruct((1, Number), (2, Number)))), (6, Of(Empty)), (7, Of(TimeType)), (8, Of(TimeType)),
        (10, Of(new ThriftStruct((1, Octet), (2, Flag)))), (11, Of(Empty)), (12, Of(Empty)), (13, Of(Empty)), (14, Of(Empty)), (15, Of(Empty)),
        (16, Of(new ThriftStruct((1, Octet)))), (17, Of(new ThriftStruct((1, Bytes)))),
        (18, Of(new ThriftStruct((1, Bytes), (2, Number)))));

    private static readonly ThriftStruct SchemaElement = new(
        (1, Number), (2, Number), (3, Number), (4, Bytes), (5, Number), (6, Number), (7, Number), (8, Number), (9, Number), (10, Of(LogicalType)));

    private static readonly ThriftStruct BoundingBox = new(
        (1, Real), (2, Real), (3, Real), (4, Real), (5, Real), (6, Real), (7, Real), (8, Real));

    private static readonly ThriftStruct ColumnMetaData = new(
        (1, Number), (2, Number.List()), (3, Bytes.List()), (4, Number), (5, Number), (6, Number), (7, Number), (8, Of(KeyValue).List()), (9, Number), (10, Number), (11, Number),
        (12, Of(Statistics)), (13, Of(new ThriftStruct((1, Number), (2, Number), (3, Number))).List()), (14, Number), (15, Number),
        (16, Of(new ThriftStruct((1, Number), (2, Number.List()), (3, Number.List())))),
        (17, Of(new ThriftStruct((1, Of(BoundingBox)), (2, Number.List())))));

    private static readonly ThriftStruct ColumnCrypto = new((1, Of(Empty)), (2, Of(new ThriftStruct((1, Bytes.List()), (2, Bytes)))));

    private static readonly ThriftStruct ColumnChunk = new(
        (1, Bytes), (2, Number), (3, Of(ColumnMetaData)), (4, Number), (5, Number), (6, Number), (7, Number), (8, Of(ColumnCrypto)), (9, Bytes));

    private static readonly ThriftStruct RowGroup = new(
        (1, Of(ColumnChunk).List()), (2, Number), (3, Number), (4, Of(new ThriftStruct((1, Number), (2, Flag), (3, Flag))).List()), (5, Number), (6, Number), (7, Number));

    private static readonly ThriftStruct Cipher = new((1, Bytes), (2, Bytes), (3, Flag));

    /// <summary>The field of the footer that holds the schema, a list of columns and groups.</summary>
    public const int Schema = 2;

    /// <summary>The field of a group that holds how many of the columns and groups after it are its children.</summary>
    public const int Children = 5;

    /// <summary>The footer of a file.</summary>
    public static ThriftStruct FileMetaData { get; } = new(
        (1, Number), (2, Of(SchemaElement).List()), (3, Number), (4, Of(RowGroup).List()), (5, Of(KeyValue).List()), (6, Bytes), (7, Of(new ThriftStruct((1, Of(Empty)), (2, Of(Empty)))).List()),
        (8, Of(new ThriftStruct((1, Of(Cipher)), (2, Of(Cipher))))), (9, Bytes));

    /// <summary>What stands before each page.</summary>
    public static ThriftStruct PageHeader { get; } = new(
        (1, Number), (2, Number), (3, Number), (4, Number), (5, Of(new ThriftStruct((1, Number), (2, Number), (3, Number), (4, Number), (5, Of(Statistics))))), (6, Of(Empty)),
        (7, Of(new ThriftStruct((1, Number), (2, Number), (3, Flag)))),
        (8, Of(new ThriftStruct((1, Number), (2, Number), (3, Number), (4, Number), (5, Number), (6, Number), (7, Flag), (8, Of(Statistics))))));
}

using static Grpo.Rewards.Reading.ThriftType;

namespace Grpo.Rewards.Reading;

/// <summary>The structs of parquet's metadata, as its <c>parquet.thrift</c> defines them.</summary>
internal static class ParquetFormat
{
    private static readonly ThriftStruct Empty = new();

    private static readonly ThriftStruct Statistics = new(
        (1, Bytes), (2, Bytes), (3, Number), (4, Number), (5, Bytes), (6, Bytes), (7, Flag), (8, Flag));

    private static readonly ThriftStruct KeyValue = new((1, Bytes), (2, Bytes));

    private static readonly ThriftStruct TimeType = new(
        (1, Flag), (2, Struct(new ThriftStruct((1, Struct(Empty)), (2, Struct(Empty)), (3, Struct(Empty))))));

    private static readonly ThriftStruct LogicalType = new(
        (1, Struct(Empty)), (2, Struct(Empty)), (3, Struct(Empty)), (4, Struct(Empty)),
        (5, Struct(new ThriftStruct((1, Number), (2, Number)))), (6, Struct(Empty)), (7, Struct(TimeType)), (8, Struct(TimeType)),
        (10, Struct(new ThriftStruct((1, Octet), (2, Flag)))), (11, Struct(Empty)), (12, Struct(Empty)), (13, Struct(Empty)),
        (14, Struct(Empty)), (15, Struct(Empty)),
        (16, Struct(new ThriftStruct((1, Octet)))), (17, Struct(new ThriftStruct((1, Bytes)))),
        (18, Struct(new ThriftStruct((1, Bytes), (2, Number)))));

    private static readonly ThriftStruct SchemaElement = new(
        (1, Number), (2, Number), (3, Number), (4, Bytes), (5, Number), (6, Number), (7, Number), (8, Number), (9, Number),
        (10, Struct(LogicalType)));

    private static readonly ThriftStruct BoundingBox = new(
        (1, Real), (2, Real), (3, Real), (4, Real), (5, Real), (6, Real), (7, Real), (8, Real));

    private static readonly ThriftStruct ColumnMetaData = new(
        (1, Number), (2, Number.List()), (3, Bytes.List()), (4, Number), (5, Number), (6, Number), (7, Number),
        (8, Struct(KeyValue).List()), (9, Number), (10, Number), (11, Number),
        (12, Struct(Statistics)), (13, Struct(new ThriftStruct((1, Number), (2, Number), (3, Number))).List()), (14, Number), (15, Number),
        (16, Struct(new ThriftStruct((1, Number), (2, Number.List()), (3, Number.List())))),
        (17, Struct(new ThriftStruct((1, Struct(BoundingBox)), (2, Number.List())))));

    private static readonly ThriftStruct ColumnCrypto = new(
        (1, Struct(Empty)), (2, Struct(new ThriftStruct((1, Bytes.List()), (2, Bytes)))));

    private static readonly ThriftStruct ColumnChunk = new(
        (1, Bytes), (2, Number), (3, Struct(ColumnMetaData)), (4, Number), (5, Number), (6, Number), (7, Number), (8, Struct(ColumnCrypto)),
        (9, Bytes));

    private static readonly ThriftStruct RowGroup = new(
        (1, Struct(ColumnChunk).List()), (2, Number), (3, Number), (4, Struct(new ThriftStruct((1, Number), (2, Flag), (3, Flag))).List()),
        (5, Number), (6, Number), (7, Number));

    private static readonly ThriftStruct Cipher = new((1, Bytes), (2, Bytes), (3, Flag));

    /// <summary>The field of the footer that holds the schema, a list of columns and groups.</summary>
    public const int Schema = 2;

    /// <summary>The field of a group that holds its number of children, which are columns and groups that follow it.</summary>
    public const int Children = 5;

    /// <summary>The footer of a file.</summary>
    public static ThriftStruct FileMetaData { get; } = new(
        (1, Number), (2, Struct(SchemaElement).List()), (3, Number), (4, Struct(RowGroup).List()), (5, Struct(KeyValue).List()), (6, Bytes),
        (7, Struct(new ThriftStruct((1, Struct(Empty)), (2, Struct(Empty)))).List()),
        (8, Struct(new ThriftStruct((1, Struct(Cipher)), (2, Struct(Cipher))))), (9, Bytes));

    /// <summary>The header of a page.</summary>
    public static ThriftStruct PageHeader { get; } = new(
        (1, Number), (2, Number), (3, Number), (4, Number),
        (5, Struct(new ThriftStruct((1, Number), (2, Number), (3, Number), (4, Number), (5, Struct(Statistics))))), (6, Struct(Empty)),
        (7, Struct(new ThriftStruct((1, Number), (2, Number), (3, Flag)))),
        (8, Struct(new ThriftStruct(
            (1, Number), (2, Number), (3, Number), (4, Number), (5, Number), (6, Number), (7, Flag), (8, Struct(Statistics))))));
}

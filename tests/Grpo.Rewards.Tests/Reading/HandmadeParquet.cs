using System.Text;

namespace Grpo.Rewards.Tests;

/// <summary>
/// A parquet file written byte by byte, so that it can have any schema that the format allows, including schemas that
/// no writer here produces.
/// The pages of the two columns that are read hold one text per row. Every other column points at bytes that are not a page.
/// </summary>
internal static class HandmadeParquet
{
    public const int Required = 0, Optional = 1, Repeated = 2;
    public const int Whole64 = 2, ByteArray = 6, FixedBytes = 7;
    public const int Utf8 = 0, Map = 1, List = 3;

    /// <summary>Creates a leaf of the schema with its physical type, its name and other properties.</summary>
    public static byte[] Leaf(int type, string name, int repetition = Required, int? converted = null, byte[]? logical = null) => Struct(
        (1, type), (2, type == FixedBytes ? 16 : null), (3, repetition), (4, name), (6, converted), (10, logical));

    /// <summary>Creates a group of the schema. Its children follow it in the list.</summary>
    public static byte[] Group(string name, int children, int repetition = Required, int? converted = null) =>
        Struct((3, repetition), (4, name), (5, children), (6, converted));

    public static byte[] Text(string name) => Leaf(ByteArray, name, Required, Utf8);

    /// <summary>
    /// Creates a file whose root has the elements in order. Each leaf is given by its path with the text of each row, or null for no page.
    /// </summary>
    public static byte[] File(int columns, byte[][] elements, params (string[] Path, string[]? Rows)[] leaves)
    {
        List<byte> file = [.. "PAR1"u8];
        int rows = leaves.Max(leaf => leaf.Rows?.Length ?? 0);
        var chunks = new List<byte[]>();
        foreach (var (path, texts) in leaves)
        {
            long offset = file.Count;
            byte[] values = [.. (texts ?? ["no page"]).SelectMany(Plain)];
            byte[] header = Struct((1, texts?.Length), (2, 0), (3, 3), (4, 3));
            file.AddRange(texts is null ? [0xFF] : Struct((1, 0), (2, values.Length), (3, values.Length), (5, header)));
            file.AddRange(values);

            // No compression has the number 77.
            chunks.Add(Struct((2, offset), (3, Struct(
                (1, ByteArray), (2, new[] { 0 }), (3, path), (4, texts is null ? 77 : 0), (5, rows),
                (6, values.Length), (7, file.Count - offset), (9, offset)))));
        }

        byte[] group = Struct((1, chunks.ToArray()), (2, file.Count), (3, rows));
        byte[] footer = Struct((1, 1), (2, (byte[][])[Group("schema", columns), .. elements]), (3, rows), (4, new[] { group }));
        return [.. file, .. footer, .. BitConverter.GetBytes(footer.Length), .. "PAR1"u8];
    }

    /// <summary>Writes a struct in Thrift's compact protocol. A field without a value is omitted.</summary>
    public static byte[] Struct(params (int Id, object? Value)[] fields) =>
    [
        .. fields.Where(field => field.Value is not null)
            .SelectMany(field => (byte[])[KindOf(field.Value!), .. Varint(field.Id), .. Value(field.Value!)]),
        0,
    ];

    private static byte KindOf(object value) => value switch
    {
        sbyte => 3,
        int or long => 6,
        string => 8,
        byte[] => 12,
        _ => 9,
    };

    private static byte[] Value(object value) => value switch
    {
        sbyte octet => [(byte)octet],
        int number => Varint(number),
        long number => Varint(number),
        string text => [.. Length(Encoding.UTF8.GetByteCount(text)), .. Encoding.UTF8.GetBytes(text)],
        byte[] inner => inner,
        Array list => [.. ListHead(list), .. list.Cast<object>().SelectMany(Value)],
        _ => throw new ArgumentException($"{value.GetType()} has no place here."),
    };

    private static byte[] ListHead(Array list) => [(byte)(0xF0 | KindOf(list.GetValue(0)!)), .. Length(list.Length)];

    private static byte[] Plain(string text) =>
        [.. BitConverter.GetBytes(Encoding.UTF8.GetByteCount(text)), .. Encoding.UTF8.GetBytes(text)];

    // Zigzag encoding puts the sign into the lowest bit.
    private static byte[] Varint(long number) => Length((number << 1) ^ (number >> 63));

    private static byte[] Length(long number)
    {
        List<byte> bytes = [];
        for (ulong value = (ulong)number; ; value >>= 7)
        {
            if (value < 0x80)
            {
                return [.. bytes, (byte)value];
            }

            bytes.Add((byte)(value | 0x80));
        }
    }
}

using System.Text;

namespace Grpo.Export.Tests;

/// <summary>A second implementation of the GGUF container, read as its specification says.</summary>
internal sealed class GgufReader
{
    private readonly byte[] _bytes;
    private readonly long _dataStart;

    public GgufReader(string path)
    {
        _bytes = File.ReadAllBytes(path);
        using var reader = new BinaryReader(new MemoryStream(_bytes));
        Assert.Equal("GGUF", Encoding.ASCII.GetString(reader.ReadBytes(4)));
        Assert.Equal(3u, reader.ReadUInt32());
        long tensors = reader.ReadInt64();
        long values = reader.ReadInt64();
        for (long i = 0; i < values; i++)
        {
            Metadata.Add(ReadText(reader), ReadValue(reader, reader.ReadUInt32()));
        }

        for (long i = 0; i < tensors; i++)
        {
            string name = ReadText(reader);
            long[] sizes = [.. Enumerable.Range(0, (int)reader.ReadUInt32()).Select(_ => reader.ReadInt64())];
            Tensors.Add(name, new Entry(sizes, reader.ReadUInt32(), reader.ReadInt64()));
        }

        _dataStart = (reader.BaseStream.Position + 31) / 32 * 32;
        Assert.All(Tensors.Values, entry => Assert.Equal(0, entry.Offset % 32));
        Assert.Equal(
            _bytes.Length,
            _dataStart + Tensors.Values.Max(entry => (entry.Offset + Bytes(entry) + 31) / 32 * 32));
    }

    /// <summary>The metadata: numbers, texts and arrays.</summary>
    public Dictionary<string, object> Metadata { get; } = [];

    /// <summary>The tensors by name.</summary>
    public Dictionary<string, Entry> Tensors { get; } = [];

    /// <summary>Reads the values of a tensor in row-major order.</summary>
    public float[] Values(string name)
    {
        Entry entry = Tensors[name];
        ReadOnlySpan<byte> data = _bytes.AsSpan((int)(_dataStart + entry.Offset), (int)Bytes(entry));
        float[] values = new float[entry.Count];
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = entry.Type switch
            {
                0 => BitConverter.ToSingle(data[(4 * i)..]),
                1 => (float)BitConverter.ToHalf(data[(2 * i)..]),
                30 => BitConverter.Int32BitsToSingle(BitConverter.ToUInt16(data[(2 * i)..]) << 16),
                // Q8_0: 2 bytes of scale, then 32 of values.
                8 => (float)BitConverter.ToHalf(data[(i / 32 * 34)..]) * (sbyte)data[(i / 32 * 34) + 2 + (i % 32)],
                _ => throw new InvalidDataException($"{name} has the type {entry.Type}."),
            };
        }

        return values;
    }

    private static long Bytes(Entry entry) => entry.Type switch { 0 => entry.Count * 4, 8 => entry.Count / 32 * 34, _ => entry.Count * 2 };

    private static string ReadText(BinaryReader reader) => Encoding.UTF8.GetString(reader.ReadBytes((int)reader.ReadUInt64()));

    private static object ReadValue(BinaryReader reader, uint type)
    {
        return type switch
        {
            4 => reader.ReadUInt32(),
            5 => reader.ReadInt32(),
            6 => reader.ReadSingle(),
            7 => reader.ReadBoolean(),
            8 => ReadText(reader),
            9 => ReadArray(reader),
            _ => throw new InvalidDataException($"The value type {type} is not read here."),
        };
    }

    private static object[] ReadArray(BinaryReader reader)
    {
        uint type = reader.ReadUInt32();
        object[] values = new object[reader.ReadUInt64()];
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = ReadValue(reader, type);
        }

        return values;
    }

    /// <param name="Sizes">The sizes of the axes, innermost first.</param>
    /// <param name="Type">0 F32, 1 F16, 8 Q8_0, 30 BF16.</param>
    /// <param name="Offset">The first byte, counted from the start of the data.</param>
    internal sealed record Entry(long[] Sizes, uint Type, long Offset)
    {
        public long Count => Sizes.Aggregate(1L, (product, size) => product * size);
    }
}

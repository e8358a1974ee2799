using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace Grpo.Callbacks;

/// <summary>Writes the primitives of a record: integers in seven bits per byte, floating-point numbers in little-endian.</summary>
internal sealed class FlightWriter
{
    private readonly ArrayBufferWriter<byte> _bytes = new();

    public ReadOnlySpan<byte> Written => _bytes.WrittenSpan;

    public void Byte(byte value)
    {
        _bytes.GetSpan(1)[0] = value;
        _bytes.Advance(1);
    }

    public void Number(ulong value)
    {
        Span<byte> span = _bytes.GetSpan(10);
        int length = 0;
        for (; value >= 0x80; value >>= 7)
        {
            span[length++] = (byte)(value | 0x80);
        }

        span[length++] = (byte)value;
        _bytes.Advance(length);
    }

    public void Count(int value) => Number((ulong)value);

    public void Double(double value)
    {
        BinaryPrimitives.WriteDoubleLittleEndian(_bytes.GetSpan(sizeof(double)), value);
        _bytes.Advance(sizeof(double));
    }

    public void Raw(ReadOnlySpan<byte> bytes) => _bytes.Write(bytes);

    public void Text(string value)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(value);
        Count(bytes.Length);
        _bytes.Write(bytes);
    }

    public void Optional(double? value)
    {
        Byte(value is null ? (byte)0 : (byte)1);
        if (value is { } given)
        {
            Double(given);
        }
    }

    public void Optional(string? value)
    {
        Byte(value is null ? (byte)0 : (byte)1);
        if (value is not null)
        {
            Text(value);
        }
    }

    public void Ids(IReadOnlyList<int> ids)
    {
        Count(ids.Count);
        foreach (int id in ids)
        {
            Number((uint)id);
        }
    }

    public void Floats(IReadOnlyList<float> values)
    {
        Count(values.Count);
        foreach (float value in values)
        {
            BinaryPrimitives.WriteSingleLittleEndian(_bytes.GetSpan(sizeof(float)), value);
            _bytes.Advance(sizeof(float));
        }
    }

    /// <summary>
    /// Writes each number as the difference of its bits from those in <paramref name="near"/>, which takes a byte or two if they are close.
    /// </summary>
    public void FloatsNear(IReadOnlyList<float> values, IReadOnlyList<float> near)
    {
        for (int i = 0; i < values.Count; i++)
        {
            int distance = unchecked(BitConverter.SingleToInt32Bits(values[i]) - BitConverter.SingleToInt32Bits(near[i]));
            Number((uint)((distance << 1) ^ (distance >> 31))); // zigzag: a small difference of either sign becomes a small number
        }
    }
}

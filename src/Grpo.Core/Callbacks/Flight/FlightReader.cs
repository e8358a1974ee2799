using System.Buffers.Binary;
using System.Text;
using Grpo.Scoring;

namespace Grpo.Callbacks;

/// <summary>
/// Reads the primitives that a <see cref="FlightWriter"/> wrote. It never allocates more than the remaining bytes could fill.
/// </summary>
/// <param name="bytes">The payload of a record.</param>
internal ref struct FlightReader(ReadOnlySpan<byte> bytes)
{
    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private ReadOnlySpan<byte> _rest = bytes;

    public readonly bool IsAtEnd => _rest.IsEmpty;

    public byte Byte() => Take(1)[0];

    public ulong Number()
    {
        ulong value = 0;
        for (int shift = 0; shift < 64; shift += 7)
        {
            byte next = Byte();
            value |= (ulong)(next & 0x7F) << shift;
            if (next < 0x80)
            {
                return shift == 63 && next > 1 ? throw new InvalidDataException("a number has more than 64 bits") : value;
            }
        }

        throw new InvalidDataException("a number has no end");
    }

    /// <summary>Reads the number of elements that follow.</summary>
    /// <param name="leastBytes">The minimum size of an element in bytes.</param>
    public int Count(int leastBytes)
    {
        ulong count = Number();
        return count <= (ulong)(_rest.Length / leastBytes)
            ? (int)count
            : throw new InvalidDataException($"{count} things are announced where {_rest.Length} bytes are left");
    }

    public int Int() => Number() is var value && value <= int.MaxValue
        ? (int)value
        : throw new InvalidDataException($"{value} is too large a number here");

    public double Double() => BinaryPrimitives.ReadDoubleLittleEndian(Take(sizeof(double)));

    /// <summary>Reads a number of a reward, which is finite and within the limit because <see cref="RewardScorer"/> checks it.</summary>
    public double RewardNumber(double limit = double.MaxValue) => Double() is var number && Math.Abs(number) <= limit
        ? number
        : throw new InvalidDataException(FormattableString.Invariant($"{number} is no reward"));

    public ReadOnlySpan<byte> Raw(int length) => Take(length);

    public string Text()
    {
        try
        {
            return Strict.GetString(Take(Count(1)));
        }
        catch (DecoderFallbackException exception)
        {
            throw new InvalidDataException("a text is not UTF-8", exception);
        }
    }

    public bool Flag() => Byte() switch
    {
        0 => false,
        1 => true,
        byte other => throw new InvalidDataException($"{other} stands where 0 or 1 must"),
    };

    public double? OptionalDouble() => Flag() ? Double() : null;

    public double? OptionalRewardNumber(double limit = double.MaxValue) => Flag() ? RewardNumber(limit) : null;

    public string? OptionalText() => Flag() ? Text() : null;

    public int[] Ids()
    {
        var ids = new int[Count(1)];
        for (int i = 0; i < ids.Length; i++)
        {
            ids[i] = Number() is var id && id <= int.MaxValue ? (int)id : throw new InvalidDataException($"{id} is no token");
        }

        return ids;
    }

    public float[] Floats()
    {
        var values = new float[Count(sizeof(float))];
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = BinaryPrimitives.ReadSingleLittleEndian(Take(sizeof(float)));
        }

        return values;
    }

    public float[] FloatsNear(IReadOnlyList<float> near)
    {
        var values = new float[near.Count];
        for (int i = 0; i < values.Length; i++)
        {
            uint zigzag = Number() is var number && number <= uint.MaxValue
                ? (uint)number
                : throw new InvalidDataException($"{number} is no distance of two numbers");
            int distance = (int)(zigzag >> 1) ^ -(int)(zigzag & 1);
            values[i] = BitConverter.Int32BitsToSingle(unchecked(BitConverter.SingleToInt32Bits(near[i]) + distance));
        }

        return values;
    }

    private ReadOnlySpan<byte> Take(int length)
    {
        if (length > _rest.Length)
        {
            throw new InvalidDataException($"{length} bytes are read where {_rest.Length} are left");
        }

        ReadOnlySpan<byte> taken = _rest[..length];
        _rest = _rest[length..];
        return taken;
    }
}

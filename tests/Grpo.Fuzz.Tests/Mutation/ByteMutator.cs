using System.Buffers.Binary;

namespace Grpo.Fuzz.Tests;

/// <summary>Damages bytes of any kind.</summary>
internal static class ByteMutator
{
    private const int MostRepeats = 2000;

    private static readonly long[] Extremes =
    [
        0, 1, -1, 2, 7, 8, 15, 16, 127, 128, 255, 256, 32767, 32768, 65535, 65536, int.MaxValue, 1L + int.MaxValue, uint.MaxValue,
        1L + uint.MaxValue, 1L << 40,
        long.MaxValue, long.MaxValue - 7, long.MinValue,
    ];

    public static byte[] Mutate(Random random, byte[] bytes, byte[] other)
    {
        if (bytes.Length == 0)
        {
            return Some(random, 16);
        }

        int at = random.Next(bytes.Length), length = Math.Min(bytes.Length - at, 1 + random.Next(1 << random.Next(1, 8)));
        switch (random.Next(11))
        {
            case 0 or 1:
                byte[] flipped = [.. bytes];
                flipped[at] ^= (byte)(1 << random.Next(8));
                return flipped;
            case 2:
                byte[] set = [.. bytes];
                set[at] = random.Next(3) == 0 ? (byte)random.Next(256) : (byte)Extremes[random.Next(12)];
                return set;
            case 3 or 4:
                return WithNumber(random, bytes, at);
            case 5:
                return [.. bytes[..at], .. bytes[(at + length)..]];
            case 6:
                byte[] piece = bytes[at..(at + length)];
                int times = random.Next(8) == 0 ? random.Next(MostRepeats) : 1;
                return [.. bytes[..at], .. Enumerable.Repeat(piece, times + 1).SelectMany(copy => copy), .. bytes[(at + length)..]];
            case 7:
                return [.. bytes[..at], .. Some(random, 1 + random.Next(32)), .. bytes[at..]];
            case 8:
                return bytes[..at];
            case 9 when other.Length > 0:
                int from = random.Next(other.Length);
                return
                [
                    .. bytes[..at],
                    .. other[from..Math.Min(other.Length, from + length)],
                    .. bytes[Math.Min(bytes.Length, at + (random.Next(2) * length))..],
                ];
            default:
                byte[] cleared = [.. bytes];
                cleared.AsSpan(at, length).Fill((byte)(random.Next(2) == 0 ? 0 : 255));
                return cleared;
        }
    }

    // The position of a length, an offset or a count. Most of them are aligned.
    private static byte[] WithNumber(Random random, byte[] bytes, int at)
    {
        int width = 1 << random.Next(1, 4);
        at = random.Next(4) == 0 ? at : at - (at % width);
        if (at + width > bytes.Length)
        {
            return bytes[..at];
        }

        Span<byte> number = stackalloc byte[8];
        long value = random.Next(3) switch
        {
            0 => Extremes[random.Next(Extremes.Length)],
            1 => bytes.Length + random.Next(-9, 10),
            _ => random.NextInt64() >> random.Next(64),
        };
        BinaryPrimitives.WriteInt64LittleEndian(number, value);
        byte[] changed = [.. bytes];
        number[..width].CopyTo(changed.AsSpan(at));
        return changed;
    }

    private static byte[] Some(Random random, int length)
    {
        var bytes = new byte[length];
        random.NextBytes(bytes);
        return bytes;
    }
}

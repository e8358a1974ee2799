using System.Buffers.Binary;

namespace Grpo.Rewards;

/// <summary>
/// Walks a parquet file's footer (a struct in Thrift's compact protocol) without keeping anything: every field must lie inside it
/// and the struct must end where the footer does. The parquet library trusts these bytes: with a damaged stop byte or list
/// length it loops for ever.
/// </summary>
internal ref struct ParquetFooter
{
    private const int MaxDepth = 32;

    private readonly ReadOnlySpan<byte> _bytes;
    private int _position;

    private ParquetFooter(ReadOnlySpan<byte> bytes)
    {
        _bytes = bytes;
    }

    /// <summary>Throws when the footer is not whole.</summary>
    /// <param name="file">The whole file.</param>
    /// <exception cref="InvalidDataException">Says what is wrong.</exception>
    public static void Check(ReadOnlySpan<byte> file)
    {
        // "PAR1" … footer, its length in 4 bytes, "PAR1"
        if (file.Length < 12 || !file[^4..].SequenceEqual("PAR1"u8))
        {
            throw new InvalidDataException("it does not end with PAR1; was it cut?");
        }

        uint length = BinaryPrimitives.ReadUInt32LittleEndian(file[^8..]);
        if (length == 0 || length > file.Length - 12)
        {
            throw new InvalidDataException($"its footer announces {length} bytes, but the file has {file.Length}.");
        }

        var footer = new ParquetFooter(file.Slice(file.Length - 8 - (int)length, (int)length));
        footer.SkipStruct(depth: 0);
        if (footer._position != length)
        {
            throw footer.Broken();
        }
    }

    private void SkipStruct(int depth)
    {
        while (true)
        {
            byte header = Take();
            if (header == 0)
            {
                return;
            }

            if (header >> 4 == 0)
            {
                TakeVarint();                                   // the field id, where it is not a small step from the last one
            }

            int type = header & 15;
            if (type is not (1 or 2))                           // a boolean field is its type
            {
                SkipValue(type, depth);
            }
        }
    }

    private void SkipValue(int type, int depth)
    {
        if (depth > MaxDepth)
        {
            throw Broken();
        }

        switch (type)
        {
            case 1 or 2 or 3:
                Skip(1);
                break;
            case 4 or 5 or 6:
                TakeVarint();
                break;
            case 7:
                Skip(8);
                break;
            case 8:
                Skip(TakeVarint());
                break;
            case 9 or 10:
                SkipList(depth);
                break;
            case 12:
                SkipStruct(depth + 1);
                break;
            default:
                throw Broken();                                 // parquet's metadata has no maps
        }
    }

    private void SkipList(int depth)
    {
        byte header = Take();
        ulong count = (uint)header >> 4;
        count = count == 15 ? TakeVarint() : count;

        // Every element takes a byte at least, so a count beyond the rest is broken, and the loop is bounded.
        for (Require(count); count > 0; count--)
        {
            SkipValue(header & 15, depth + 1);
        }
    }

    private byte Take()
    {
        Require(1);
        return _bytes[_position++];
    }

    private ulong TakeVarint()
    {
        ulong value = 0;
        for (int shift = 0; shift < 64; shift += 7)
        {
            byte next = Take();
            value |= (ulong)(next & 0x7F) << shift;
            if (next < 0x80)
            {
                return value;
            }
        }

        throw Broken();
    }

    private void Skip(ulong count)
    {
        Require(count);
        _position += (int)count;
    }

    private readonly void Require(ulong count)
    {
        if (count > (ulong)(_bytes.Length - _position))
        {
            throw Broken();
        }
    }

    private readonly InvalidDataException Broken() => new($"its footer is damaged near byte {_position} of {_bytes.Length}.");
}

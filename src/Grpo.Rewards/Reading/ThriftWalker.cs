namespace Grpo.Rewards.Reading;

/// <summary>Walks a struct in Thrift's compact protocol and checks it without storing anything.</summary>
/// <remarks>
/// Every value must lie inside the bytes and have the kind that the format gives its field. The parquet library ignores the kind that a
/// file states and would read a number as the length of a text. The walker also refuses all that the library might read differently: a
/// repeated field, a field number of more than 15 bits, and a struct or list that the format does not have, which
/// the library skips incorrectly.
/// </remarks>
internal ref struct ThriftWalker(ReadOnlySpan<byte> bytes)
{
    private const int MaxDepth = 32;

    private readonly ReadOnlySpan<byte> _bytes = bytes;

    /// <summary>The number of bytes walked so far.</summary>
    public int Position { get; private set; }

    /// <summary>Walks a struct to its end.</summary>
    /// <param name="fields">The fields that the struct may have.</param>
    /// <param name="onInteger">
    /// The receiver of each number in the struct and in the structs in its fields. Its arguments are the field of this struct, the field of
    /// the inner struct or 0, and the number. Before each struct of a list it receives the field, 0 and the struct's index.
    /// </param>
    /// <exception cref="InvalidDataException">The struct is incomplete or does not have these fields.</exception>
    public void Walk(ThriftStruct fields, Action<int, int, long>? onInteger = null) => WalkStruct(fields, depth: 0, outer: 0, onInteger);

    private void WalkStruct(ThriftStruct fields, int depth, int outer, Action<int, int, long>? onInteger)
    {
        if (depth > MaxDepth)
        {
            throw Broken();
        }

        long id = 0;
        ulong seen = 0;
        while (true)
        {
            byte header = Take();
            if (header == 0)
            {
                return;
            }

            // The field's number is either a small increment over the last one or follows in full.
            id = header >> 4 == 0 ? ZigZag(TakeVarint()) : id + (header >> 4);
            Require(id is >= 0 and <= short.MaxValue);
            ThriftType? type = fields.Find((int)id);
            int kind = header & 15;
            Require(type is null ? kind is not (9 or 10 or 12) : type.IsList ? kind == 9 : Matches(type.Kind, kind));
            if (type is not null)
            {
                Require((seen & (1UL << (int)id)) == 0);         // the format has no field beyond 63
                seen |= 1UL << (int)id;
            }

            if (kind is 1 or 2)
            {
                continue; // the kind of a boolean field is its value
            }

            if (onInteger is not null && kind is (4 or 5 or 6))
            {
                onInteger(depth == 0 ? (int)id : outer, depth == 0 ? 0 : (int)id, ZigZag(TakeVarint()));
            }
            else
            {
                WalkValue(type, kind, depth, (int)id, depth == 0 ? onInteger : null);
            }
        }
    }

    private void WalkValue(ThriftType? type, int kind, int depth, int id, Action<int, int, long>? onInteger)
    {
        switch (kind)
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
            case 9 when type is not null:
                WalkList(type, depth, id, onInteger);
                break;
            case 12 when type?.Fields is { } fields:
                WalkStruct(fields, depth + 1, id, onInteger);
                break;
            default:
                throw Broken();                                 // parquet's metadata has no maps
        }
    }

    private void WalkList(ThriftType type, int depth, int id, Action<int, int, long>? onInteger)
    {
        if (depth > MaxDepth)
        {
            throw Broken();
        }

        byte header = Take();
        ulong count = (uint)header >> 4;
        count = count == 15 ? TakeVarint() : count;

        // Every element takes at least one byte. A larger count than bytes left is damage, and so the loop is bounded.
        Require(count <= (ulong)(_bytes.Length - Position) && (count == 0 || Matches(type.Kind, header & 15)));
        for (ulong i = 0; i < count; i++)
        {
            if (type.Fields is not null)
            {
                onInteger?.Invoke(id, 0, (long)i);
            }

            WalkValue(type with { IsList = false }, header & 15, depth + 1, id, onInteger);
        }
    }

    private static bool Matches(ThriftKind kind, int stated) => kind switch
    {
        ThriftKind.Boolean => stated is 1 or 2,
        ThriftKind.Byte => stated == 3,
        ThriftKind.Integer => stated is 4 or 5 or 6,
        ThriftKind.Double => stated == 7,
        ThriftKind.Binary => stated == 8,
        _ => stated == 12,
    };

    private byte Take()
    {
        Require(Position < _bytes.Length);
        return _bytes[Position++];
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

    private static long ZigZag(ulong value) => (long)(value >> 1) ^ -(long)(value & 1);

    private void Skip(ulong count)
    {
        Require(count <= (ulong)(_bytes.Length - Position));
        Position += (int)count;
    }

    private readonly void Require(bool holds)
    {
        if (!holds)
        {
            throw Broken();
        }
    }

    private readonly InvalidDataException Broken() => new($"its metadata is damaged near byte {Position} of {_bytes.Length}.");
}

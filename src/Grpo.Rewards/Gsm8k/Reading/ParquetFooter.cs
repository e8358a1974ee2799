using System.Buffers.Binary;

namespace Grpo.Rewards;

/// <summary>
/// Checks a parquet file's footer before the parquet library reads it. The library trusts these bytes: with a damaged stop byte or list length it
/// loops for ever, it allocates whatever length it finds, and it goes down the schema by recursion.
/// </summary>
internal static class ParquetFooter
{
    private const int MaxDepth = 64;

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

        var walker = new ThriftWalker(file.Slice(file.Length - 8 - (int)length, (int)length));
        walker.Walk(ParquetFormat.FileMetaData, new SchemaDepth().Receive);
        if (walker.Position != length)
        {
            throw new InvalidDataException($"its footer ends after {walker.Position} of {length} bytes.");
        }
    }

    /// <summary>Follows how deep the groups of the schema are nested.</summary>
    private sealed class SchemaDepth
    {
        // For each group that is open: how many of its children are still to come.
        private readonly Stack<long> _open = [];

        public void Receive(int field, int inner, long number)
        {
            if (field == ParquetFormat.Schema && inner == 0)
            {
                while (_open.TryPop(out long left))
                {
                    if (left > 0)
                    {
                        _open.Push(left - 1);
                        break;
                    }
                }
            }
            else if (field == ParquetFormat.Schema && inner == ParquetFormat.Children && number != 0)
            {
                // The library would take the lowest 32 bits of more.
                _open.Push(number is > 0 and <= int.MaxValue
                    ? number
                    : throw new InvalidDataException($"a group of its schema announces {number} columns."));
                if (_open.Count > MaxDepth)
                {
                    throw new InvalidDataException($"its columns are nested more than {MaxDepth} deep.");
                }
            }
        }
    }
}

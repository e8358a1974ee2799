using System.Buffers.Binary;

namespace Grpo.Rewards.Reading;

/// <summary>
/// Checks a parquet file's footer before the parquet library reads it, because the library trusts these bytes.
/// </summary>
/// <remarks>
/// With a damaged stop byte or list length the library loops forever. It allocates any length that it finds, and it descends the schema by
/// recursion.
/// </remarks>
internal static class ParquetFooter
{
    private const int MaxDepth = 64;

    /// <summary>Throws if the footer is damaged or incomplete.</summary>
    /// <param name="file">The whole file.</param>
    /// <exception cref="InvalidDataException">The footer is damaged. The message says how.</exception>
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
            throw new InvalidDataException($"its footer declares {length} bytes, but the file has {file.Length}.");
        }

        var walker = new ThriftWalker(file.Slice(file.Length - 8 - (int)length, (int)length));
        walker.Walk(ParquetFormat.FileMetaData, new SchemaDepth().Receive);
        if (walker.Position != length)
        {
            throw new InvalidDataException($"its footer ends after {walker.Position} of {length} bytes.");
        }
    }

    /// <summary>Tracks how deeply the groups of the schema are nested.</summary>
    private sealed class SchemaDepth
    {
        // The number of children that are still to come, for each open group.
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
                // The library would use only the lowest 32 bits of a larger number.
                _open.Push(number is > 0 and <= int.MaxValue
                    ? number
                    : throw new InvalidDataException($"a group of its schema declares {number} columns."));
                if (_open.Count > MaxDepth)
                {
                    throw new InvalidDataException($"its columns are nested more than {MaxDepth} deep.");
                }
            }
        }
    }
}

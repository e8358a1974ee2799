using System.Buffers.Binary;

namespace Grpo.Rewards;

/// <summary>
/// Checks a parquet file's footer before the parquet library reads it. The library trusts these bytes: with a damaged stop byte or list length it
/// loops for ever, and it allocates whatever length it finds.
/// </summary>
internal static class ParquetFooter
{
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
        walker.Walk(ParquetFormat.FileMetaData);
        if (walker.Position != length)
        {
            throw new InvalidDataException($"its footer ends after {walker.Position} of {length} bytes.");
        }
    }
}

namespace Grpo.Rewards;

/// <summary>
/// Checks the pages of a column before the parquet library reads them: it allocates what their headers announce.
/// </summary>
/// <param name="file">The whole file.</param>
internal sealed class ParquetPages(ReadOnlyMemory<byte> file)
{
    // Text seldom shrinks to a tenth; sixty-four times is more than any real page has shown, and what one file may unpack to in all.
    private const long MaxRatio = 64;
    private const long FreeBytes = 16 << 20;

    // The fields of a page header: sizes, and the structs whose first field is the number of values.
    private const int UnpackedSize = 2, PackedSize = 3, Data = 5, Dictionary = 7, SecondData = 8;

    private long _unpacked;

    /// <summary>Walks the pages from an offset on, until they hold as many values as the column has.</summary>
    /// <param name="offset">Where the first page begins.</param>
    /// <param name="values">The values in the column.</param>
    /// <exception cref="InvalidDataException">A page is damaged, or would unpack to more than the file can hold.</exception>
    public void Check(long offset, long values)
    {
        for (long found = 0; found < values;)
        {
            if (offset < 0 || offset >= file.Length)
            {
                throw new InvalidDataException($"a page would begin at byte {offset} of {file.Length}.");
            }

            var walker = new ThriftWalker(file.Span[(int)offset..]);
            long unpacked = -1, packed = -1, inPage = 0, inDictionary = 0, levels = 0;
            walker.Walk(ParquetFormat.PageHeader, (field, inner, number) =>
            {
                switch (field, inner)
                {
                    case (UnpackedSize, 0): unpacked = number; break;
                    case (PackedSize, 0): packed = number; break;
                    case (Data or SecondData, 1): inPage = number; break;
                    case (Dictionary, 1): inDictionary = number; break;
                    case (SecondData, 5 or 6): levels = number is >= 0 and <= int.MaxValue ? levels + number : -1 - (1L << 40); break;
                }
            });
            long start = offset + walker.Position;
            if (packed < 0 || packed > file.Length - start || unpacked < 0 || levels < 0 || levels > packed)
            {
                throw new InvalidDataException($"the page at byte {offset} announces {packed} bytes, {unpacked} unpacked; the file has {file.Length}.");
            }

            _unpacked += unpacked;
            if (_unpacked > FreeBytes + (MaxRatio * file.Length))
            {
                throw new InvalidDataException($"its pages would unpack to {_unpacked} bytes and more, over {MaxRatio} times the file.");
            }

            if (inPage < 0 || inPage > values - found || inDictionary < 0 || inDictionary > values)
            {
                throw new InvalidDataException($"the page at byte {offset} announces {inPage} values and {inDictionary} in its dictionary; the column has {values}.");
            }

            found += inPage;
            offset = start + packed;
        }
    }
}

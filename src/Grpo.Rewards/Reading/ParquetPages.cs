using Parquet.Meta;

namespace Grpo.Rewards.Reading;

/// <summary>
/// Checks the pages of a column before the parquet library reads them, because the library allocates the sizes that their headers declare.
/// </summary>
/// <param name="file">The whole file.</param>
internal sealed class ParquetPages(ReadOnlyMemory<byte> file)
{
    // Text rarely compresses to a tenth, and no real page has come near a factor of 64. All pages of a file together may
    // unpack to that much.
    private const long MaxRatio = 64;
    private const long FreeBytes = 16 << 20;
    private const int MagicBytes = 4;

    // The fields of a page header: its type, its sizes, and one struct per type, whose first field is the number of values.
    private const int Type = 1, UnpackedSize = 2, PackedSize = 3, DataHeader = 5, IndexHeader = 6, DictionaryHeader = 7,
        SecondDataHeader = 8;
    private const int Values = 1, SecondNulls = 2, SecondDefinitionBytes = 5, SecondRepetitionBytes = 6;

    private long _walked;
    private long _unpacked;

    /// <summary>Checks the pages of a column and the metadata that the library relies on.</summary>
    /// <param name="column">The column's metadata, as the library read it.</param>
    /// <param name="rows">The number of rows in its row group.</param>
    /// <exception cref="InvalidDataException">The metadata contradicts itself, or a page is refused.</exception>
    public void Check(ColumnMetaData column, long rows)
    {
        if (column.NumValues != rows)
        {
            throw new InvalidDataException($"a column has {column.NumValues} values for {rows} rows.");
        }

        // The library allocates room for the values that are not null.
        if (column.Statistics?.NullCount is { } nulls && (nulls < 0 || nulls > rows))
        {
            throw new InvalidDataException($"a column declares {nulls} nulls among {rows} values.");
        }

        // Depending on its version, the library begins at the data's offset or at the lower of the two offsets.
        long data = column.DataPageOffset, dictionary = column.DictionaryPageOffset ?? 0;
        if (rows > 0 && (data < MagicBytes || (dictionary != 0 && dictionary < MagicBytes)))
        {
            throw new InvalidDataException(
                $"a page would begin at byte {(data < MagicBytes ? data : dictionary)}, before the first of the file.");
        }

        Check(dictionary == 0 ? data : Math.Min(data, dictionary), rows);
    }

    /// <summary>Walks the pages from an offset on, until they hold all values of the column.</summary>
    /// <param name="offset">The offset of the first page in bytes.</param>
    /// <param name="values">The number of values in the column.</param>
    /// <exception cref="InvalidDataException">A page is damaged, unpacks to more than is allowed, or overlaps another page.</exception>
    public void Check(long offset, long values)
    {
        for (long found = 0; found < values;)
        {
            if (offset < 0 || offset >= file.Length)
            {
                throw new InvalidDataException($"a page would begin at byte {offset} of {file.Length}.");
            }

            Header header = Read(offset);
            long unpacked = header.Number(UnpackedSize), packed = header.Number(PackedSize), start = offset + header.Length;
            if (packed < 0 || packed > file.Length - start || unpacked < 0)
            {
                throw new InvalidDataException(
                    $"the page at byte {offset} declares {packed} bytes, {unpacked} unpacked; the file has {file.Length}.");
            }

            // Every page may be used once. If row groups could share pages, reading a small file could take forever.
            _walked += header.Length + packed;
            if (_walked > file.Length)
            {
                throw new InvalidDataException($"its pages have more than {file.Length} bytes, the whole file: they overlap.");
            }

            _unpacked += unpacked;
            if (_unpacked > FreeBytes + (MaxRatio * file.Length))
            {
                throw new InvalidDataException($"its pages would unpack to {_unpacked} bytes and more, over {MaxRatio} times the file.");
            }

            found += CountValues(header, offset, values - found, values);
            offset = start + packed;
        }
    }

    // Returns the number of the column's values in the page. The library relies on the type, so only the struct of that
    // type may be present.
    private static long CountValues(Header header, long offset, long missing, long values)
    {
        (int own, string name) = header.Number(Type) switch
        {
            0 => (DataHeader, "data"),
            2 => (DictionaryHeader, "dictionary"),
            3 => (SecondDataHeader, "data"),
            var other => throw new InvalidDataException(
                $"the page at byte {offset} is of type {other}; a column has data pages (0 or 3) and dictionaries (2)."),
        };
        foreach (int field in new[] { DataHeader, IndexHeader, DictionaryHeader, SecondDataHeader })
        {
            if (header.Has(field) != (field == own))
            {
                throw new InvalidDataException($"the page at byte {offset} is a {name} page, but its header describes another kind.");
            }
        }

        long inPage = header.Number(own, Values);
        bool isDictionary = own == DictionaryHeader;
        if (inPage < (isDictionary ? 0 : 1) || inPage > (isDictionary ? values : missing))
        {
            throw new InvalidDataException(
                $"the {name} page at byte {offset} declares {inPage} values; the column has {values}, {missing} of them not found yet.");
        }

        if (own == SecondDataHeader)
        {
            long nulls = header.Number(own, SecondNulls), definitions = header.Number(own, SecondDefinitionBytes),
                repetitions = header.Number(own, SecondRepetitionBytes);
            if (nulls < 0 || nulls > inPage || definitions < 0 || repetitions < 0 || definitions + repetitions > header.Number(PackedSize))
            {
                throw new InvalidDataException(
                    $"the data page at byte {offset} declares {nulls} nulls among {inPage} values, and levels of {definitions} and "
                    + $"{repetitions} bytes in {header.Number(PackedSize)}.");
            }
        }

        return isDictionary ? 0 : inPage;
    }

    private Header Read(long offset)
    {
        var numbers = new Dictionary<(int Field, int Inner), long>();
        var walker = new ThriftWalker(file.Span[(int)offset..]);
        walker.Walk(ParquetFormat.PageHeader, (field, inner, number) =>
        {
            // These numbers have 32 bits. The library would use only the lowest 32 bits of a larger number.
            numbers[(field, inner)] = number is >= int.MinValue and <= int.MaxValue
                ? number
                : throw new InvalidDataException($"the header of the page at byte {offset} has the number {number}, of more than 32 bits.");
        });
        return new Header(numbers, walker.Position);
    }

    /// <summary>The numbers of a page header, by field and by field of the inner struct (0 for none).</summary>
    private readonly record struct Header(Dictionary<(int Field, int Inner), long> Fields, int Length)
    {
        public long Number(int field, int inner = 0) => Fields.GetValueOrDefault((field, inner), -1);

        public bool Has(int field) => Fields.Keys.Any(key => key.Field == field && key.Inner != 0);
    }
}

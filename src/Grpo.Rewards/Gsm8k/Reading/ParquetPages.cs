using Grpo.Callbacks;
using Parquet.Meta;

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
    private const int MagicBytes = 4;

    // The fields of a page header: what the page is, its sizes, and a struct for each kind of page, whose first field is the number of values.
    private const int Type = 1, UnpackedSize = 2, PackedSize = 3, DataHeader = 5, IndexHeader = 6, DictionaryHeader = 7, SecondDataHeader = 8;
    private const int Values = 1, SecondNulls = 2, SecondDefinitionBytes = 5, SecondRepetitionBytes = 6;

    private long _walked;
    private long _unpacked;

    /// <summary>Checks the pages of a column, and what the library takes from its metadata.</summary>
    /// <param name="column">The metadata, as the library has read it.</param>
    /// <param name="rows">The rows of its row group.</param>
    /// <exception cref="InvalidDataException">The metadata contradicts itself, or a page is refused.</exception>
    public void Check(ColumnMetaData column, long rows)
    {
        if (column.NumValues != rows)
        {
            throw new InvalidDataException($"a column has {column.NumValues} values for {rows} rows.");
        }

        // The library makes room for the values that are not null.
        if (column.Statistics?.NullCount is { } nulls && (nulls < 0 || nulls > rows))
        {
            throw new InvalidDataException($"a column announces {nulls} nulls among {rows} values.");
        }

        // Versions of the library begin at the lower of two offsets or at that of the data, whichever the file means.
        long data = column.DataPageOffset, dictionary = column.DictionaryPageOffset ?? 0;
        if (rows > 0 && (data < MagicBytes || (dictionary != 0 && dictionary < MagicBytes)))
        {
            throw new InvalidDataException($"a page would begin at byte {(data < MagicBytes ? data : dictionary)}, before the first of the file.");
        }

        Check(dictionary == 0 ? data : Math.Min(data, dictionary), rows);
    }

    /// <summary>Walks the pages from an offset on, until they hold as many values as the column has.</summary>
    /// <param name="offset">Where the first page begins.</param>
    /// <param name="values">The values in the column.</param>
    /// <exception cref="InvalidDataException">A page is damaged, would unpack to more than the file can hold, or was there before.</exception>
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
                throw new InvalidDataException($"the page at byte {offset} announces {packed} bytes, {unpacked} unpacked; the file has {file.Length}.");
            }

            // Every page lies in the file once. Where row groups share theirs, a small file could be read without end.
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

            found += ValuesOf(header, offset, values - found, values);
            offset = start + packed;
        }
    }

    // How many of the column's values the page holds. The library goes by the type, so the struct must be that of the type, and the only one.
    private static long ValuesOf(Header header, long offset, long missing, long values)
    {
        (int own, string name) = header.Number(Type) switch
        {
            0 => (DataHeader, "data"),
            2 => (DictionaryHeader, "dictionary"),
            3 => (SecondDataHeader, "data"),
            var other => throw new InvalidDataException($"the page at byte {offset} is of type {other}; a column has data pages (0 or 3) and dictionaries (2)."),
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
            throw new InvalidDataException($"the {name} page at byte {offset} announces {inPage} values; the column has {values}, {missing} of them not found yet.");
        }

        if (own == SecondDataHeader)
        {
            long nulls = header.Number(own, SecondNulls), definitions = header.Number(own, SecondDefinitionBytes), repetitions = header.Number(own, SecondRepetitionBytes);
            if (nulls < 0 || nulls > inPage || definitions < 0 || repetitions < 0 || definitions + repetitions > header.Number(PackedSize))
            {
                throw new InvalidDataException(
                    $"the data page at byte {offset} announces {nulls} nulls among {inPage} values, and levels of {definitions} and {repetitions} bytes in {header.Number(PackedSize)}.");
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
            // All of them have 32 bits; the library would take the lowest 32 of more.
            numbers[(field, inner)] = number is >= int.MinValue and <= int.MaxValue
                ? number
                : throw new InvalidDataException($"the header of the page at byte {offset} has the number {number}, of more than 32 bits.");
        });
        return new Header(numbers, walker.Position);
    }

    /// <summary>The numbers of a page header by field, and by field of the struct in it or 0.</summary>
    private readonly record struct Header(Dictionary<(int Field, int Inner), long> Numbers, int Length)
    {
        public long Number(int field, int inner = 0) => Numbers.GetValueOrDefault((field, inner), -1);

        public bool Has(int field) => Numbers.Keys.Any(key => key.Field == field && key.Inner != 0);
    }
}

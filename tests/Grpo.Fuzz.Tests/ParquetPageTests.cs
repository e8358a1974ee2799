using Grpo.Rewards.Reading;
using Parquet.Meta;

namespace Grpo.Fuzz.Tests;

/// <summary>
/// Headers of parquet pages that the check and the library might read differently. The library must read what the check has checked.
/// </summary>
public sealed class ParquetPageTests
{
    private const int DataPage = 0, IndexPage = 1, DictionaryPage = 2, SecondDataPage = 3;
    private const int Two31 = int.MaxValue;

    private static readonly byte[] Data = Struct((1, 3), (2, 0), (3, 3), (4, 3));
    private static readonly byte[] Dictionary = Struct((1, 2), (2, 0));

    /// <summary>The headers of a column of three values, each with the expected message.</summary>
    public static TheoryData<string, byte[], string> Refused => new()
    {
        { "a dictionary that is a data page too", Struct([.. Head(DictionaryPage), (7, Dictionary), (5, Data)]),
            "is a dictionary page, but its header describes another kind" },
        { "a dictionary that is only a data page", Struct([.. Head(DictionaryPage), (5, Data)]),
            "is a dictionary page, but its header describes another kind" },
        { "a data page of both versions", Struct([.. Head(DataPage), (5, Struct((1, Two31))), (8, Second(1))]),
            "is a data page, but its header describes another kind" },
        { "a data page of the other version", Struct([.. Head(DataPage), (8, Second(3))]),
            "is a data page, but its header describes another kind" },
        { "an index page that is a data page", Struct([.. Head(IndexPage), (5, Data)]), "is of type 1" },
        { "no type", Struct((2, 5), (3, 5), (5, Data)), "is of type -1" },
        { "a data page twice", Struct([.. Head(DataPage), (5, Struct((1, Two31))), (5, Data)]), "metadata is damaged" },
        { "a size twice", Struct([.. Head(DataPage), (2, Two31), (5, Data)]), "metadata is damaged" },
        { "values twice", Struct([.. Head(DataPage), (5, Struct((1, Two31), (1, 3)))]), "metadata is damaged" },
        { "a field whose lowest 16 bits are a size", Struct([.. Head(DataPage), (5, Data), (65538, Two31)]), "metadata is damaged" },
        { "a number whose lowest 32 bits are others", Struct((1, 0), (2, 5), (3, 5), (5, Struct((1, (1L << 32) + 3)))),
            "the number 4294967299, of more than 32 bits" },
        { "a struct that the format does not have", Struct([.. Head(DataPage), (5, Data), (9, Struct((1, 1)))]), "metadata is damaged" },
        { "no values", Struct([.. Head(DataPage), (5, Struct((1, 0)))]), "the data page at byte 4 declares 0 values" },
        { "no number of values", Struct([.. Head(DataPage), (5, Struct((2, 0)))]), "the data page at byte 4 declares -1 values" },
        { "a dictionary of fewer than none", Struct([.. Head(DictionaryPage), (7, Struct((1, -1)))]),
            "the dictionary page at byte 4 declares -1 values" },
        { "a dictionary of more than all", Struct([.. Head(DictionaryPage), (7, Struct((1, 4)))]),
            "the dictionary page at byte 4 declares 4 values" },
        { "more nulls than values", Struct([.. Head(SecondDataPage), (8, Second(3, nulls: 4))]), "declares 4 nulls among 3 values" },
        { "fewer nulls than none", Struct([.. Head(SecondDataPage), (8, Second(3, nulls: -1))]), "declares -1 nulls among 3 values" },
        { "levels beyond the page", Struct([.. Head(SecondDataPage), (8, Second(3, definitions: 6))]), "levels of 6 and 0 bytes in 5" },
        { "levels of fewer bytes than none", Struct([.. Head(SecondDataPage), (8, Second(3, definitions: -1))]),
            "levels of -1 and 0 bytes in 5" },
    };

    [Theory]
    [MemberData(nameof(Refused))]
    public void Check_refuses_a_page_header_with(string what, byte[] header, string message)
    {
        Assert.NotEmpty(what);

        // The next page would unpack to two gigabytes. A check that took the first page for the whole column would miss it.
        byte[] bomb = Struct((1, DataPage), (2, Two31), (3, 5), (5, Data));
        ParquetPages pages = new(File(header, bomb));
        Assert.Contains(message, Assert.Throws<InvalidDataException>(() => pages.Check(4, 3)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Check_takes_pages_of_every_kind_whose_headers_are_right()
    {
        byte[] file = File(
            Struct([.. Head(DictionaryPage), (7, Dictionary)]),
            Struct([.. Head(DataPage), (5, Struct((1, 2), (2, 0), (3, 3), (4, 3), (5, Struct((3, 0)))))]),
            Struct([.. Head(SecondDataPage), (8, Second(1, nulls: 1, definitions: 5))]));
        new ParquetPages(file).Check(4, 3);
        Assert.Contains(
            "a page would begin at byte", Assert.Throws<InvalidDataException>(() => new ParquetPages(file).Check(4, 4)).Message,
            StringComparison.Ordinal);
    }

    // A hundred thousand row groups shared the pages of one, and the reader unpacked them a hundred thousand times.
    [Fact]
    public void Check_refuses_pages_that_it_has_seen()
    {
        ParquetPages pages = new(File(Struct([.. Head(DataPage), (5, Data)])));
        pages.Check(4, 3);
        Assert.Contains("they overlap", Assert.Throws<InvalidDataException>(() => pages.Check(4, 3)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(3, 0L, 4, null, null)]
    [InlineData(3, null, 4, null, null)]
    [InlineData(3, 3L, 4, 4L, null)]
    [InlineData(3, -1L, 4, null, "declares -1 nulls among 3 values")]
    [InlineData(3, 4L, 4, null, "declares 4 nulls among 3 values")]
    [InlineData(2, 0L, 4, null, "has 2 values for 3 rows")]
    [InlineData(3, 0L, 0, 4L, "would begin at byte 0")]
    [InlineData(3, 0L, 4, -4L, "would begin at byte -4")]
    [InlineData(3, 0L, 4, 3L, "would begin at byte 3")]
    public void Check_refuses_column_metadata_that_contradicts_itself(
        long values, long? nulls, long data, long? dictionary, string? message)
    {
        var column = new ColumnMetaData
        {
            NumValues = values,
            DataPageOffset = data,
            DictionaryPageOffset = dictionary,
            Statistics = nulls is null ? null : new Statistics { NullCount = nulls },
        };
        ParquetPages pages = new(File(Struct([.. Head(DataPage), (5, Data)])));
        Exception? refusal = Record.Exception(() => pages.Check(column, 3));
        Assert.Equal(message is null, refusal is null);
        Assert.Contains(message ?? "", refusal?.Message ?? "", StringComparison.Ordinal);
    }

    // The type and the sizes of a page of five bytes.
    private static (int Id, object Value)[] Head(int type) => [(1, type), (2, 5), (3, 5)];

    private static byte[] Second(int values, int nulls = 0, int definitions = 0) =>
        Struct((1, values), (2, nulls), (3, values), (4, 0), (5, definitions), (6, 0));

    // Five bytes follow each header.
    private static byte[] File(params byte[][] headers) => [.. "PAR1"u8, .. headers.SelectMany(header => header.Concat(new byte[5]))];

    // Writes the long form, which allows fields in any order: kind, number of the field, value.
    private static byte[] Struct(params (int Id, object Value)[] fields) =>
    [
        .. fields.SelectMany(field => (byte[])(field.Value is byte[] inner
            ? [12, .. KeptInputTests.Varint(field.Id), .. inner]
            : [5, .. KeptInputTests.Varint(field.Id), .. KeptInputTests.Varint(Convert.ToInt64(field.Value, null))])),
        0,
    ];
}

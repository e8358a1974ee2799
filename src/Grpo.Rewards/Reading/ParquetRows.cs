using System.Globalization;
using System.Runtime.CompilerServices;
using Grpo.IO;
using Parquet;
using Parquet.Schema;

namespace Grpo.Rewards.Reading;

/// <summary>Reads the root columns <c>question</c> and <c>answer</c> of a parquet file.</summary>
internal static class ParquetRows
{
    private const long MaxFileBytes = 512L << 20;
    private const long MaxRows = 1_000_000;

    public static bool IsParquet(string path)
    {
        using FileStream file = File.OpenRead(path);
        Span<byte> magic = stackalloc byte[4];
        return file.ReadAtLeast(magic, magic.Length, throwOnEndOfStream: false) == magic.Length && magic.SequenceEqual("PAR1"u8);
    }

    public static IReadOnlyList<Gsm8kRow> Read(string path)
    {
        long size = new FileInfo(path).Length;
        if (size > MaxFileBytes)
        {
            throw new InvalidDataException($"'{path}' has {size} bytes; a parquet file may have {MaxFileBytes} at most. Split it.");
        }

        byte[] bytes = File.ReadAllBytes(path);
        try
        {
            ParquetFooter.Check(bytes);

            // Reads from memory complete at once, so waiting here cannot block a thread that the reader needs.
            using var stream = new MemoryStream(bytes, writable: false);
            return ReadAsync(stream, new ParquetPages(bytes), path).GetAwaiter().GetResult();
        }
        catch (Exception error) when (error is not OutOfMemoryException)
        {
            // The library's decoders throw many kinds of exceptions for damaged files.
            throw new InvalidDataException($"'{path}' cannot be read as GSM8K in parquet: {TerminalText.EscapeLine(error.Message)}", error);
        }
    }

    private static async Task<IReadOnlyList<Gsm8kRow>> ReadAsync(Stream stream, ParquetPages pages, string path)
    {
        ParquetReader reader = await ParquetReader.CreateAsync(stream).ConfigureAwait(false);
        await using ConfiguredAsyncDisposable disposal = reader.ConfigureAwait(false);
        DataField[] columns = ParquetColumns.Select(reader, "question", "answer");
        var rows = new List<Gsm8kRow>();
        for (int group = 0; group < reader.RowGroupCount; group++)
        {
            using ParquetRowGroupReader rowGroup = reader.OpenRowGroupReader(group);
            if (rowGroup.RowCount < 0 || rows.Count + rowGroup.RowCount > MaxRows)
            {
                throw new InvalidDataException($"row group {group} declares {rowGroup.RowCount} rows; a file may have {MaxRows} at most.");
            }

            foreach (DataField column in columns)
            {
                pages.Check(ParquetColumns.Chunk(rowGroup, group, column), rowGroup.RowCount);
            }

            string?[] questions = new string?[rowGroup.RowCount];
            string?[] answers = new string?[rowGroup.RowCount];
            await rowGroup.ReadAsync(columns[0], questions.AsMemory()).ConfigureAwait(false);
            await rowGroup.ReadAsync(columns[1], answers.AsMemory()).ConfigureAwait(false);
            for (int i = 0; i < questions.Length; i++)
            {
                int number = rows.Count + 1;
                string place = string.Create(CultureInfo.InvariantCulture, $"{path}, row {number}");
                rows.Add(new Gsm8kRow(number, place, questions[i], answers[i]));
            }
        }

        return rows;
    }
}

using Grpo.IO;
using Parquet;
using Parquet.Meta;
using Parquet.Schema;

namespace Grpo.Rewards.Reading;

/// <summary>
/// Finds columns by their whole path. A column is a child of the schema's root, so one of an equal name inside a struct, a list or a map
/// does not count.
/// </summary>
/// <remarks>The parquet library sees only the selected columns, because it cannot read every schema that the format allows.</remarks>
internal static class ParquetColumns
{
    /// <summary>Reduces the reader's schema to the named text columns of its root.</summary>
    /// <param name="reader">The reader, whose metadata is changed.</param>
    /// <param name="names">The names of the columns.</param>
    /// <returns>The columns in the order of the names.</returns>
    /// <exception cref="InvalidDataException">A column is missing, appears twice, or does not hold text.</exception>
    public static DataField[] Select(ParquetReader reader, params IReadOnlyList<string> names)
    {
        FileMetaData metadata = reader.Metadata ?? throw new InvalidDataException("it has no schema.");
        SchemaElement[] columns = [.. RootColumns(metadata.Schema)];
        SchemaElement[] selected = [.. names.Select(name => Find(columns, name))];
        metadata.Schema = [new SchemaElement { Name = "root", NumChildren = selected.Length }, .. selected];
        return reader.Schema.DataFields;
    }

    /// <summary>Returns the part of a row group that holds a column.</summary>
    /// <exception cref="InvalidDataException">The row group has no such part, or more than one.</exception>
    public static ColumnMetaData Chunk(ParquetRowGroupReader rowGroup, int number, DataField column)
    {
        ColumnChunk[] chunks =
            [.. rowGroup.RowGroup.Columns.Where(chunk => chunk.MetaData?.PathInSchema is [var name] && name == column.Name)];
        if (chunks.Length != 1)
        {
            throw new InvalidDataException($"row group {number} has {chunks.Length} columns '{column.Name}'; there must be one.");
        }

        // The library drops empty names from paths, so it may confuse this column with one in a struct without a name.
        return ReferenceEquals(rowGroup.GetMetadata(column), chunks[0])
            ? chunks[0].MetaData!
            : throw new InvalidDataException(
                $"row group {number} has a second column '{column.Name}', in a group whose name is empty. Name the group.");
    }

    // The schema is a flat list in which the descendants of a group follow it.
    private static IEnumerable<SchemaElement> RootColumns(List<SchemaElement> schema)
    {
        int next = 1;
        for (int column = 0; column < (schema[0].NumChildren ?? 0); column++)
        {
            yield return schema[next];
            for (int pending = 1; pending > 0; pending--)
            {
                pending += schema[next++].NumChildren ?? 0;
            }
        }
    }

    private static SchemaElement Find(SchemaElement[] columns, string name)
    {
        SchemaElement[] found = [.. columns.Where(column => column.Name == name)];
        return found switch
        {
            [] => throw new InvalidDataException($"it has no text column '{name}'; its columns are {Names(columns)}."),
            [var column] when Fault(column) is { } fault =>
                throw new InvalidDataException($"it has no text column '{name}': that column {fault}. Its columns are {Names(columns)}."),
            [var column] => column,
            _ => throw new InvalidDataException($"it has {found.Length} columns '{name}'; there must be one."),
        };
    }

    private static string? Fault(SchemaElement column) =>
        column.NumChildren > 0 ? $"is a group of {column.NumChildren} columns"
        : column.RepetitionType == FieldRepetitionType.REPEATED ? "has several values in a row"
        : column.Type != Parquet.Meta.Type.BYTE_ARRAY ? $"is of type {column.Type}"
        : column.ConvertedType == ConvertedType.UTF8 || column.LogicalType is { STRING: not null } or { ENUM: not null } ? null
        : "is of type BYTE_ARRAY and is not marked as text";

    private static string Names(SchemaElement[] columns) =>
        TerminalText.EscapeLine(string.Join(", ", columns.Select(column => column.Name)));
}

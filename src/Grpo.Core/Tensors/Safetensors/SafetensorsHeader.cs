using System.Buffers.Binary;
using System.Collections.ObjectModel;
using System.Text.Json;
using System.Text.Unicode;
using Grpo.IO;
using Microsoft.Win32.SafeHandles;

namespace Grpo.Tensors;

/// <summary>
/// The checked header of a safetensors file. The format is 8 bytes of length (little endian), JSON, then the data without gaps.
/// </summary>
internal sealed class SafetensorsHeader
{
    public const int LengthBytes = 8;

    /// <summary>The limit of the format's own library.</summary>
    public const long MaximumBytes = 100_000_000;

    private SafetensorsHeader(
        ReadOnlyDictionary<string, SafetensorsEntry> entries, ReadOnlyDictionary<string, string> metadata, long dataStart)
    {
        Entries = entries;
        Metadata = metadata;
        DataStart = dataStart;
    }

    /// <summary>The entries by name, enumerated in the order of the data, so that reading them in turn reads the file forward.</summary>
    public ReadOnlyDictionary<string, SafetensorsEntry> Entries { get; }

    public ReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>The offset of the first byte of data in the file.</summary>
    public long DataStart { get; }

    /// <summary>Reads and checks everything but the data. Allocates no more than in proportion to the file's real size.</summary>
    /// <exception cref="InvalidDataException">The file violates the format. The message lists all problems.</exception>
    public static SafetensorsHeader Read(SafeFileHandle file, string path)
    {
        string subject = $"'{path}' is not a valid safetensors file";
        long fileLength = RandomAccess.GetLength(file);
        byte[] json = ReadJson(file, path, subject, fileLength);
        var problems = new SafetensorsProblems(subject);
        var parser = new SafetensorsHeaderParser(json, problems);
        try
        {
            parser.Parse();
        }
        catch (JsonException exception)
        {
            throw new InvalidDataException(
                $"{subject}: its header is not the expected JSON: {TerminalText.EscapeLine(exception.Message)}", exception);
        }

        long dataStart = LengthBytes + json.Length;
        parser.Entries.Sort((left, right) => (left.Begin, left.Length).CompareTo((right.Begin, right.Length)));
        if (!problems.Any)
        {
            CheckLayout(parser.Entries, fileLength - dataStart, problems);
        }

        problems.ThrowIfAny();
        return new SafetensorsHeader(
            parser.Entries.ToDictionary(entry => entry.Name, StringComparer.Ordinal).AsReadOnly(), parser.Metadata.AsReadOnly(), dataStart);
    }

    private static byte[] ReadJson(SafeFileHandle file, string path, string subject, long fileLength)
    {
        if (fileLength < LengthBytes)
        {
            throw new InvalidDataException($"{subject}: it has {fileLength} bytes; the length of the header alone takes {LengthBytes}.");
        }

        Span<byte> lengthField = stackalloc byte[LengthBytes];
        SafetensorsTransfer.ReadExactly(file, path, lengthField, 0);
        ulong length = BinaryPrimitives.ReadUInt64LittleEndian(lengthField);
        if (length > MaximumBytes)
        {
            throw new InvalidDataException($"{subject}: its header would be {length} bytes; the limit is {MaximumBytes}.");
        }

        if ((long)length > fileLength - LengthBytes)
        {
            throw new InvalidDataException(
                $"{subject}: its header would be {length} bytes, but only {fileLength - LengthBytes} follow. "
                + "The file is truncated or of another format.");
        }

        var json = new byte[length];
        SafetensorsTransfer.ReadExactly(file, path, json, LengthBytes);
        if (json is not [(byte)'{', ..])
        {
            throw new InvalidDataException($"{subject}: its header does not begin with '{{'.");
        }

        return Utf8.IsValid(json) ? json : throw new InvalidDataException($"{subject}: its header is not UTF-8.");
    }

    /// <summary>Checks that the tensors cover the data from its first byte to its last, each byte once.</summary>
    private static void CheckLayout(List<SafetensorsEntry> byOffset, long dataLength, SafetensorsProblems problems)
    {
        long covered = 0;
        SafetensorsEntry? last = null;
        foreach (SafetensorsEntry entry in byOffset)
        {
            string name = SafetensorsProblems.Quote(entry.Name);
            long end = entry.Begin + entry.Length;
            if (end > dataLength)
            {
                problems.Add(
                    $"tensor {name} ends at byte {end} of the data, but the file holds {dataLength}: it is truncated or mislabeled");
            }
            else if (entry.Begin > covered)
            {
                problems.Add($"{entry.Begin - covered} bytes before tensor {name} belong to no tensor");
            }
            else if (entry.Begin < covered)
            {
                problems.Add(
                    $"tensor {name} begins at byte {entry.Begin} of the data, inside tensor {SafetensorsProblems.Quote(last!.Name)}");
            }

            if (end >= covered)
            {
                covered = end;
                last = entry;
            }
        }

        if (covered < dataLength)
        {
            problems.Add($"{dataLength - covered} bytes at the end belong to no tensor");
        }
    }
}

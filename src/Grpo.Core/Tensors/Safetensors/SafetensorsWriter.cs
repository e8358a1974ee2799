using System.Buffers;
using System.Buffers.Binary;
using System.Text.Encodings.Web;
using System.Text.Json;
using Grpo.IO;
using Microsoft.Win32.SafeHandles;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Tensors;

/// <summary>Writes safetensors files that Python's safetensors and transformers can load.</summary>
public static class SafetensorsWriter
{
    // Every JSON reader accepts these characters. The default encoder would escape '+' and everything outside ASCII.
    private static readonly JsonWriterOptions Plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>
    /// Writes tensors to a file. The data goes to a temporary file, which is flushed to the disk and renamed, so the target is either the
    /// complete new file or unchanged.
    /// </summary>
    /// <param name="path">The path of the file. An existing file is replaced. Its folder must exist.</param>
    /// <param name="tensors">
    /// The tensors by name, of any device and strides. Gradients are not written. Tensors that share memory are each written in full.
    /// Borrowed.
    /// </param>
    /// <param name="metadata">
    /// The strings for <c>__metadata__</c>. <c>format</c> = <c>pt</c>, which transformers requires, is added if it is missing.
    /// </param>
    /// <exception cref="ArgumentException">
    /// A name is repeated or is not valid Unicode, or a tensor has no memory or a dtype that the format lacks.
    /// </exception>
    /// <exception cref="IOException">The folder is missing, or the disk is full.</exception>
    /// <exception cref="UnauthorizedAccessException">Access to the folder is denied.</exception>
    /// <remarks>
    /// The data starts at a multiple of 8. Since the format allows no gaps, tensors are ordered by element size, largest first, then by
    /// name, so that each starts at a multiple of its element size. The bytes depend only on names, values and metadata.
    /// </remarks>
    public static void Write(
        string path,
        IEnumerable<KeyValuePair<string, Tensor>> tensors,
        IReadOnlyDictionary<string, string>? metadata = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(tensors);
        KeyValuePair<string, Tensor>[] ordered = Order(tensors);
        byte[] header = Header(ordered, metadata, out long dataLength);
        string target = Path.GetFullPath(path);
        string temporary = Path.Combine(Path.GetDirectoryName(target)!, $".{Path.GetFileName(target)}.{Guid.NewGuid():N}.tmp");
        try
        {
            // Reserve the space first, so that a full disk is reported before any work.
            using (SafeFileHandle file = File.OpenHandle(
                temporary, FileMode.CreateNew, FileAccess.Write, FileShare.None, FileOptions.None, header.Length + dataLength))
            {
                RandomAccess.Write(file, header, 0);
                long position = header.Length;
                foreach ((_, Tensor tensor) in ordered)
                {
                    position += SafetensorsTransfer.Write(file, tensor, position);
                }

                RandomAccess.FlushToDisk(file);
            }

            File.Move(temporary, target, overwrite: true);
        }
        catch (Exception exception)
        {
            DeleteQuietly(temporary);

            // If the space cannot be reserved, the runtime throws a message of its own without the system's error code.
            if (exception is IOException && WriteFailure.FindSpace(target) is { Free: var free } && free < header.Length + dataLength)
            {
                throw WriteFailure.DiskFull(
                    FormattableString.Invariant(
                        $"No space left on device: '{target}' needs {header.Length + dataLength} bytes, and {free} are free."),
                    exception);
            }

            throw;
        }
    }

    private static KeyValuePair<string, Tensor>[] Order(IEnumerable<KeyValuePair<string, Tensor>> tensors)
    {
        var names = new HashSet<string>(StringComparer.Ordinal);
        List<KeyValuePair<string, Tensor>> given = [];
        foreach ((string name, Tensor tensor) in tensors)
        {
            string? problem = Problem(name, tensor) ?? (names.Add(name) ? null : "is given twice; names must be unique");
            if (problem is not null)
            {
                throw new ArgumentException($"Tensor {SafetensorsProblems.Quote(name ?? "null")} {problem}.", nameof(tensors));
            }

            given.Add(new(name, tensor));
        }

        return
        [
            .. given
                .OrderByDescending(pair => SafetensorsDType.SizeOf(pair.Value.dtype))
                .ThenBy(pair => pair.Key, StringComparer.Ordinal),
        ];
    }

    private static string? Problem(string? name, Tensor? tensor)
    {
        if (name is null || tensor is null)
        {
            return "cannot be written: neither a name nor a tensor may be null";
        }

        if (name == SafetensorsHeaderParser.MetadataKey)
        {
            return "cannot be written: the format keeps that name for itself";
        }

        if (!IsUnicode(name))
        {
            return "cannot be written: its name has half of a surrogate pair";
        }

        if (!SafetensorsDType.IsSupported(tensor.dtype))
        {
            return $"is {tensor.dtype}, which cannot be stored; supported are {SafetensorsDType.Supported}";
        }

        if (tensor.is_sparse || tensor.device_type == DeviceType.META)
        {
            return $"is {(tensor.is_sparse ? "sparse" : "on the meta device")}; only dense tensors with memory can be stored";
        }

        return tensor.dim() > SafetensorsHeaderParser.MaximumRank
            ? $"has {tensor.dim()} axes; at most {SafetensorsHeaderParser.MaximumRank} can be stored"
            : null;
    }

    private static bool IsUnicode(string text)
    {
        for (int i = 0; i < text.Length; i++)
        {
            if (char.IsSurrogate(text[i]) && !char.IsSurrogatePair(text, i++))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Creates the length field and the JSON, padded with spaces to a multiple of 8.</summary>
    private static byte[] Header(KeyValuePair<string, Tensor>[] ordered, IReadOnlyDictionary<string, string>? metadata, out long dataLength)
    {
        var json = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(json, Plain))
        {
            writer.WriteStartObject();
            WriteMetadata(writer, metadata);
            dataLength = 0;
            foreach ((string name, Tensor tensor) in ordered)
            {
                long end = dataLength + (tensor.numel() * SafetensorsDType.SizeOf(tensor.dtype));
                writer.WriteStartObject(name);
                writer.WriteString("dtype", SafetensorsDType.NameOf(tensor.dtype));
                WriteNumbers(writer, "shape", tensor.shape);
                WriteNumbers(writer, "data_offsets", [dataLength, end]);
                writer.WriteEndObject();
                dataLength = end;
            }

            writer.WriteEndObject();
        }

        int padded = (json.WrittenCount + 7) / 8 * 8;
        if (padded > SafetensorsHeader.MaximumBytes)
        {
            throw new ArgumentException(
                $"The header would be {padded} bytes; the limit is {SafetensorsHeader.MaximumBytes}. Write several files.");
        }

        var header = new byte[SafetensorsHeader.LengthBytes + padded];
        header.AsSpan().Fill((byte)' ');
        BinaryPrimitives.WriteInt64LittleEndian(header, padded);
        json.WrittenSpan.CopyTo(header.AsSpan(SafetensorsHeader.LengthBytes));
        return header;
    }

    private static void WriteMetadata(Utf8JsonWriter writer, IReadOnlyDictionary<string, string>? metadata)
    {
        var sorted = new SortedDictionary<string, string>(StringComparer.Ordinal) { ["format"] = "pt" };
        foreach ((string key, string value) in metadata ?? new Dictionary<string, string>())
        {
            if (value is null || !IsUnicode(key) || !IsUnicode(value))
            {
                throw new ArgumentException(
                    $"The metadata {SafetensorsProblems.Quote(key)} cannot be written: null, or half of a surrogate pair.",
                    nameof(metadata));
            }

            sorted[key] = value;
        }

        writer.WriteStartObject(SafetensorsHeaderParser.MetadataKey);
        foreach ((string key, string value) in sorted)
        {
            writer.WriteString(key, value);
        }

        writer.WriteEndObject();
    }

    private static void WriteNumbers(Utf8JsonWriter writer, string name, ReadOnlySpan<long> numbers)
    {
        writer.WriteStartArray(name);
        foreach (long number in numbers)
        {
            writer.WriteNumberValue(number);
        }

        writer.WriteEndArray();
    }

    // A failure to delete is ignored, since the error that led here is the one to report.
    private static void DeleteQuietly(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
        }
    }
}

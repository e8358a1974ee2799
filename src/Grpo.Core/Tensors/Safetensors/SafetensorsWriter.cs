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
    private const string Nothing = "cannot be written: neither a name nor a tensor may be null";

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
        ArgumentNullException.ThrowIfNull(tensors);
        var given = new List<DeferredTensor>();
        foreach ((string name, Tensor tensor) in tensors)
        {
            string? problem = name is null || tensor is null ? Nothing : StorageProblem(tensor);
            if (problem is not null)
            {
                throw Refused(name, problem, nameof(tensors));
            }

            given.Add(new DeferredTensor(name!, tensor!.dtype, tensor.shape, () => tensor.alias()));
        }

        WriteDeferred(path, given, metadata);
    }

    /// <summary>Writes tensors that are created one after the other, so that one of them is in memory at a time.</summary>
    /// <param name="path">The path of the file. An existing file is replaced. Its folder must exist.</param>
    /// <param name="tensors">The tensors. Each is created when it is written, and disposed right after.</param>
    /// <param name="metadata">The strings for <c>__metadata__</c>, as in <see cref="Write"/>.</param>
    /// <exception cref="ArgumentException">
    /// A name is repeated or is not valid Unicode, the format lacks a dtype, or a created tensor is not as described.
    /// </exception>
    /// <exception cref="IOException">The folder is missing, or the disk is full.</exception>
    /// <exception cref="UnauthorizedAccessException">Access to the folder is denied.</exception>
    /// <remarks>The bytes are those that <see cref="Write"/> writes for the same tensors.</remarks>
    public static void WriteDeferred(
        string path, IReadOnlyList<DeferredTensor> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(tensors);
        DeferredTensor[] ordered = Order(tensors);
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
                foreach (DeferredTensor deferred in ordered)
                {
                    using Tensor tensor = Create(deferred);
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

    private static DeferredTensor[] Order(IReadOnlyList<DeferredTensor> tensors)
    {
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (DeferredTensor tensor in tensors)
        {
            string? problem = Problem(tensor) ?? (names.Add(tensor.Name) ? null : "is given twice; names must be unique");
            if (problem is not null)
            {
                throw Refused(tensor?.Name, problem, nameof(tensors));
            }
        }

        return
        [
            .. tensors
                .OrderByDescending(tensor => SafetensorsDType.SizeOf(tensor.DType))
                .ThenBy(tensor => tensor.Name, StringComparer.Ordinal),
        ];
    }

    private static Tensor Create(DeferredTensor deferred)
    {
        Tensor tensor = deferred.Create();
        if (tensor.dtype == deferred.DType && tensor.shape.SequenceEqual(deferred.Shape) && StorageProblem(tensor) is null)
        {
            return tensor;
        }

        string problem = $"is {tensor.dtype} [{string.Join(", ", tensor.shape)}] but was announced as "
            + $"{deferred.DType} [{string.Join(", ", deferred.Shape)}]";
        tensor.Dispose();
        throw Refused(deferred.Name, problem, "tensors");
    }

    private static ArgumentException Refused(string? name, string problem, string parameter) =>
        new($"Tensor {SafetensorsProblems.Quote(name ?? "null")} {problem}.", parameter);

    private static string? Problem(DeferredTensor? tensor)
    {
        if (tensor?.Name is null || tensor.Shape is null || tensor.Create is null)
        {
            return Nothing;
        }

        if (tensor.Name == SafetensorsHeaderParser.MetadataKey)
        {
            return "cannot be written: the format keeps that name for itself";
        }

        if (!IsUnicode(tensor.Name))
        {
            return "cannot be written: its name has half of a surrogate pair";
        }

        if (!SafetensorsDType.IsSupported(tensor.DType))
        {
            return $"is {tensor.DType}, which cannot be stored; supported are {SafetensorsDType.Supported}";
        }

        return tensor.Shape.Count > SafetensorsHeaderParser.MaximumRank
            ? $"has {tensor.Shape.Count} axes; at most {SafetensorsHeaderParser.MaximumRank} can be stored"
            : null;
    }

    private static string? StorageProblem(Tensor tensor) =>
        tensor.is_sparse || tensor.device_type == DeviceType.META
            ? $"is {(tensor.is_sparse ? "sparse" : "on the meta device")}; only dense tensors with memory can be stored"
            : null;

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
    private static byte[] Header(DeferredTensor[] ordered, IReadOnlyDictionary<string, string>? metadata, out long dataLength)
    {
        var json = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(json, Plain))
        {
            writer.WriteStartObject();
            WriteMetadata(writer, metadata);
            dataLength = 0;
            foreach (DeferredTensor tensor in ordered)
            {
                long elements = tensor.Shape.Aggregate(1L, (product, size) => checked(product * size));
                long end = dataLength + (elements * SafetensorsDType.SizeOf(tensor.DType));
                writer.WriteStartObject(tensor.Name);
                writer.WriteString("dtype", SafetensorsDType.NameOf(tensor.DType));
                WriteNumbers(writer, "shape", [.. tensor.Shape]);
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

/// <summary>A tensor that is created only when it is written.</summary>
/// <param name="Name">The name of the tensor, unique in the file.</param>
/// <param name="DType">The element type.</param>
/// <param name="Shape">The sizes of the axes.</param>
/// <param name="Create">Creates the tensor, of this type and shape and on any device. The writer disposes it.</param>
public sealed record DeferredTensor(string Name, ScalarType DType, IReadOnlyList<long> Shape, Func<Tensor> Create);

using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Grpo.Models.Qwen.Export;

/// <summary>The element types of a GGUF file that are written here, with their numbers in the format.</summary>
internal enum GgufType : uint
{
    F32 = 0,
    F16 = 1,
    Q8_0 = 8,
    BF16 = 30,
}

/// <summary>A tensor of a GGUF file.</summary>
/// <param name="Name">The name in llama.cpp.</param>
/// <param name="Shape">The sizes of the axes, outermost first. The file lists them in reverse.</param>
/// <param name="Type">The element type.</param>
internal sealed record GgufTensor(string Name, IReadOnlyList<long> Shape, GgufType Type)
{
    /// <summary>The size of the data in bytes.</summary>
    internal long Bytes => GgufFile.BytesOf(Type, Shape.Aggregate(1L, (product, size) => checked(product * size)));
}

/// <summary>
/// The container of llama.cpp, version 3 in little endian: metadata, descriptions of the tensors, then their data, each at a multiple of 32
/// bytes.
/// </summary>
/// <remarks>See docs/gguf.md in the repository of ggml.</remarks>
internal sealed class GgufFile
{
    private const int Alignment = 32;

    // The numbers of the value types in the format.
    private const uint UInt32Value = 4;
    private const uint Int32Value = 5;
    private const uint Float32Value = 6;
    private const uint BoolValue = 7;
    private const uint StringValue = 8;
    private const uint ArrayValue = 9;

    private readonly ArrayBufferWriter<byte> _metadata = new();
    private ulong _count;

    /// <summary>Returns the name of a type as llama.cpp's tools spell it.</summary>
    internal static string NameOf(ExportType type) => TypeOf(type).ToString();

    /// <summary>Returns the element type of the matrices.</summary>
    internal static GgufType TypeOf(ExportType type) => type switch
    {
        ExportType.Float32 => GgufType.F32,
        ExportType.Float16 => GgufType.F16,
        ExportType.BFloat16 => GgufType.BF16,
        ExportType.Q8 => GgufType.Q8_0,
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "There is no GGUF type for it."),
    };

    /// <summary>Returns the size of a number of elements in bytes.</summary>
    internal static long BytesOf(GgufType type, long elements) => type switch
    {
        GgufType.F32 => elements * 4,
        GgufType.Q8_0 => elements / Q8Blocks.Width * Q8Blocks.Bytes,
        _ => elements * 2,
    };

    internal void Add(string key, uint value)
    {
        Begin(key, UInt32Value);
        WriteUInt32(value);
    }

    internal void Add(string key, double value)
    {
        Begin(key, Float32Value);
        WriteUInt32(BitConverter.SingleToUInt32Bits((float)value));
    }

    internal void Add(string key, bool value)
    {
        Begin(key, BoolValue);
        _metadata.Write([value ? (byte)1 : (byte)0]);
    }

    internal void Add(string key, string value)
    {
        Begin(key, StringValue);
        WriteText(value);
    }

    internal void Add(string key, IReadOnlyCollection<string> values)
    {
        BeginArray(key, StringValue, values.Count);
        foreach (string value in values)
        {
            WriteText(value);
        }
    }

    internal void Add(string key, IReadOnlyCollection<int> values)
    {
        BeginArray(key, Int32Value, values.Count);
        foreach (int value in values)
        {
            WriteUInt32((uint)value);
        }
    }

    /// <summary>Writes the file.</summary>
    /// <param name="path">The path. No file may exist there.</param>
    /// <param name="tensors">The tensors in the order of the file.</param>
    /// <param name="writeData">
    /// Writes the data of the tensor with an index through the given function, which appends bytes. It must append
    /// <see cref="GgufTensor.Bytes"/>.
    /// </param>
    /// <returns>The size of the file in bytes.</returns>
    internal long Write(string path, IReadOnlyList<GgufTensor> tensors, Action<int, AppendBytes> writeData)
    {
        byte[] head = Head(tensors, out long[] offsets, out long length);
        // Reserves the space, so that a full disk is reported before any work.
        using SafeFileHandle file = File.OpenHandle(
            path, FileMode.CreateNew, FileAccess.Write, FileShare.None, FileOptions.None, head.Length + length);
        RandomAccess.Write(file, head, 0);
        for (int i = 0; i < tensors.Count; i++)
        {
            long begin = head.Length + offsets[i];
            long position = begin;
            writeData(i, bytes =>
            {
                RandomAccess.Write(file, bytes, position);
                position += bytes.Length;
            });
            if (position - begin != tensors[i].Bytes)
            {
                throw new InvalidOperationException($"{tensors[i].Name} has {position - begin} bytes but must have {tensors[i].Bytes}.");
            }
        }

        // The file has its whole length even if the system reserved nothing and the last tensor ends before a multiple of 32.
        RandomAccess.SetLength(file, head.Length + length);
        RandomAccess.FlushToDisk(file);
        return head.Length + length;
    }

    private byte[] Head(IReadOnlyList<GgufTensor> tensors, out long[] offsets, out long length)
    {
        var head = new ArrayBufferWriter<byte>();
        head.Write("GGUF"u8);
        Write(head, 3u);
        Write(head, (ulong)tensors.Count);
        Write(head, _count);
        head.Write(_metadata.WrittenSpan);
        offsets = new long[tensors.Count];
        length = 0;
        for (int i = 0; i < tensors.Count; i++)
        {
            GgufTensor tensor = tensors[i];
            offsets[i] = length;
            WriteText(head, tensor.Name);
            Write(head, (uint)tensor.Shape.Count);
            foreach (long size in tensor.Shape.Reverse())
            {
                Write(head, (ulong)size);
            }

            Write(head, (uint)tensor.Type);
            Write(head, (ulong)length);
            length = Align(length + tensor.Bytes);
        }

        byte[] padded = new byte[Align(head.WrittenCount)];
        head.WrittenSpan.CopyTo(padded);
        return padded;
    }

    private static long Align(long position) => (position + Alignment - 1) / Alignment * Alignment;

    private void BeginArray(string key, uint elementType, int count)
    {
        Begin(key, ArrayValue);
        WriteUInt32(elementType);
        Write(_metadata, (ulong)count);
    }

    private void Begin(string key, uint type)
    {
        _count++;
        WriteText(key);
        WriteUInt32(type);
    }

    private void WriteUInt32(uint value) => Write(_metadata, value);

    private void WriteText(string text) => WriteText(_metadata, text);

    private static void WriteText(ArrayBufferWriter<byte> target, string text)
    {
        byte[] utf8 = Encoding.UTF8.GetBytes(text);
        Write(target, (ulong)utf8.Length);
        target.Write(utf8);
    }

    private static void Write(ArrayBufferWriter<byte> target, uint value)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(target.GetSpan(4), value);
        target.Advance(4);
    }

    private static void Write(ArrayBufferWriter<byte> target, ulong value)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(target.GetSpan(8), value);
        target.Advance(8);
    }
}

/// <summary>Appends bytes to the data of a tensor.</summary>
/// <param name="bytes">The bytes.</param>
internal delegate void AppendBytes(ReadOnlySpan<byte> bytes);

using Microsoft.Win32.SafeHandles;
using static TorchSharp.torch;

namespace Grpo.Tensors;

/// <summary>Copies data between files and tensors piece by piece, since a tensor may be larger than a managed span.</summary>
internal static class SafetensorsTransfer
{
    /// <summary>The size of a piece in bytes, and the largest memory that is needed besides the tensors.</summary>
    public const int PieceBytes = 16 << 20;

    /// <summary>Fills a tensor from the file and converts dtype and device if needed. The caller has checked the shapes.</summary>
    public static void Read(SafeFileHandle file, string path, SafetensorsEntry entry, long position, Tensor destination)
    {
        using var scope = TensorScope.BeginNoGrad();
        if (!destination.is_contiguous())
        {
            Tensor whole = empty([.. entry.Shape], entry.DType, CPU);
            Read(file, path, entry, position, whole);
            DeviceTransfer.Copy(whole, destination.detach());
            return;
        }

        bool direct = destination.dtype == entry.DType && destination.device_type == TorchSharp.DeviceType.CPU;
        int elementBytes = SafetensorsDType.SizeOf(entry.DType);
        long elements = entry.Length / elementBytes;
        long perPiece = Math.Min(elements, PieceBytes / elementBytes);
        Tensor flat = destination.detach().view(-1);                     // [elements]
        Tensor? staging = direct ? null : empty([perPiece], entry.DType, CPU);
        for (long done = 0; done < elements; done += perPiece)
        {
            using var piece = TensorScope.Begin();
            long count = Math.Min(perPiece, elements - done);
            Tensor target = flat.narrow(0, done, count);
            Tensor source = staging?.narrow(0, 0, count) ?? target;
            Span<byte> bytes = DeviceTransfer.Bytes(source);
            ReadExactly(file, path, bytes, position + (done * elementBytes));
            if (entry.DType == ScalarType.Bool)
            {
                CheckBooleans(bytes, path, entry.Name);
            }

            if (!direct)
            {
                DeviceTransfer.Copy(source, target);
            }
        }
    }

    /// <summary>Writes the elements of a tensor of any strides and device in row-major order.</summary>
    /// <returns>The number of bytes written.</returns>
    public static long Write(SafeFileHandle file, Tensor tensor, long position)
    {
        using var scope = TensorScope.BeginNoGrad();
        int elementBytes = SafetensorsDType.SizeOf(tensor.dtype);
        long elements = tensor.numel();
        long perPiece = PieceBytes / elementBytes;
        Tensor flat = tensor.detach().contiguous().view(-1);             // [elements]
        for (long done = 0; done < elements; done += perPiece)
        {
            using var piece = TensorScope.Begin();
            Tensor source = DeviceTransfer.ToCpu(flat.narrow(0, done, Math.Min(perPiece, elements - done)));
            RandomAccess.Write(file, DeviceTransfer.Bytes(source), position + (done * elementBytes));
        }

        return elements * elementBytes;
    }

    /// <summary>Fills a buffer from the file.</summary>
    /// <exception cref="EndOfStreamException">The file is shorter than when it was opened.</exception>
    public static void ReadExactly(SafeFileHandle file, string path, Span<byte> buffer, long position)
    {
        while (buffer.Length > 0)
        {
            int read = RandomAccess.Read(file, buffer, position);
            if (read == 0)
            {
                throw new EndOfStreamException($"'{path}' ended at byte {position}: it was shortened while it was being read.");
            }

            buffer = buffer[read..];
            position += read;
        }
    }

    // Native code assumes that a bool is 0 or 1, so no other byte may enter a tensor.
    private static void CheckBooleans(Span<byte> bytes, string path, string name)
    {
        int wrong = bytes.IndexOfAnyExceptInRange((byte)0, (byte)1);
        if (wrong >= 0)
        {
            byte value = bytes[wrong];
            bytes.Clear();
            throw new InvalidDataException(
                $"'{path}': tensor {SafetensorsProblems.Quote(name)} is BOOL but holds a byte of value {value}; only 0 and 1 are allowed.");
        }
    }
}

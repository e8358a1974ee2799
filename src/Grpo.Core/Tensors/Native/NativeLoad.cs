using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Grpo.Tensors;

/// <summary>Loads a native library by its full path, or explains in a sentence why it does not load.</summary>
internal static class NativeLoad
{
    private const int ElfHeaderSize = 64;

    /// <summary>Loads the file and returns its handle, or returns 0 and sets <paramref name="reason"/>.</summary>
    public static nint TryLoad(string path, out string? reason)
    {
        reason = FindTruncation(path);
        if (reason is not null)
        {
            return 0;
        }

        try
        {
            return NativeLibrary.Load(path);
        }
        catch (Exception exception) when (exception is DllNotFoundException or BadImageFormatException)
        {
            reason = Reason(exception);
            return 0;
        }
    }

    /// <summary>
    /// Explains why an ELF file is truncated; null if it is whole. The system's loader would map such a file and crash with a bus error.
    /// </summary>
    /// <remarks>A linker writes the section table last. Files of another format pass, since the loader reports those itself.</remarks>
    public static string? FindTruncation(string path)
    {
        if (!OperatingSystem.IsLinux())
        {
            return null;
        }

        try
        {
            using FileStream file = File.OpenRead(path);
            byte[] header = new byte[ElfHeaderSize];
            if (file.ReadAtLeast(header, header.Length, throwOnEndOfStream: false) < header.Length)
            {
                return $"The file has {file.Length} bytes: it is incomplete. Copy or restore it again.";
            }

            ulong table = BinaryPrimitives.ReadUInt64LittleEndian(header.AsSpan(0x28));
            ulong size = (ulong)BinaryPrimitives.ReadUInt16LittleEndian(header.AsSpan(0x3a))
                * BinaryPrimitives.ReadUInt16LittleEndian(header.AsSpan(0x3c));
            bool whole = !header.AsSpan().StartsWith("\u007fELF"u8) || (table <= (ulong)file.Length && size <= (ulong)file.Length - table);
            return whole
                ? null
                : $"The file has {file.Length} bytes but its own table ends at {table + size}: it is incomplete. Copy or restore it again.";
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return exception.Message;
        }
    }

    /// <summary>Extracts the message of the system's loader from the exception, without .NET's advice.</summary>
    public static string Reason(Exception exception)
    {
        string[] lines = exception.Message.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        string reason = string.Join("; ", lines.Length > 1 ? lines[1..] : lines);
        return reason.EndsWith('.') ? reason : reason + ".";
    }
}

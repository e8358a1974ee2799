using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Grpo.Tensors;

/// <summary>Loads one native library by its full path, or says in a sentence why it does not load.</summary>
internal static class NativeLoad
{
    private const int ElfHeaderSize = 64;

    /// <summary>Loads the file.</summary>
    /// <returns>The handle, or 0 with <paramref name="reason"/> set.</returns>
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

    /// <summary>Why an ELF file is not whole, or null. The system's loader does not look: it maps a cut file and dies of a bus error.</summary>
    /// <remarks>The section table is the last thing in a library that a linker writes. Files of another format pass: the loader reports those itself.</remarks>
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
            ulong size = (ulong)BinaryPrimitives.ReadUInt16LittleEndian(header.AsSpan(0x3a)) * BinaryPrimitives.ReadUInt16LittleEndian(header.AsSpan(0x3c));
            bool whole = !header.AsSpan().StartsWith("\u007fELF"u8) || (table <= (ulong)file.Length && size <= (ulong)file.Length - table);
            return whole ? null : $"The file has {file.Length} bytes but its own table ends at {table + size}: it is incomplete. Copy or restore it again.";
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return exception.Message;
        }
    }

    /// <summary>What the system's loader said, without .NET's advice around it.</summary>
    public static string Reason(Exception exception)
    {
        string[] lines = exception.Message.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        string reason = string.Join("; ", lines.Length > 1 ? lines[1..] : lines);
        return reason.EndsWith('.') ? reason : reason + ".";
    }
}

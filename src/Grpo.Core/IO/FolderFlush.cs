using System.Runtime.InteropServices;

namespace Grpo.IO;

/// <summary>Flushes the entries of a folder to the disk, so that a rename survives a power failure.</summary>
internal static partial class FolderFlush
{
    /// <summary>
    /// Flushes a folder where the system can. Windows has no such call and keeps renames in its journal; some file systems refuse.
    /// </summary>
    public static void Try(string folder)
    {
        if (OperatingSystem.IsWindows())
        {
            return;
        }

        int file = Open(folder, flags: 0);
        if (file >= 0)
        {
            _ = Flush(file);
            _ = Close(file);
        }
    }

    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Flush(int file);

    [LibraryImport("libc", EntryPoint = "close")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Close(int file);
}

namespace Grpo.IO;

/// <summary>Distinguishes a full disk from other failures to write a file, and names the remedy.</summary>
internal static class WriteFailure
{
    private const int NoSpaceLeft = 28;          // ENOSPC of Linux and macOS
    private const int LinuxQuotaExceeded = 122;  // EDQUOT
    private const int MacQuotaExceeded = 69;     // EDQUOT
    private const int WindowsDiskFull = unchecked((int)0x80070070);

    /// <summary>The remedy for a full disk.</summary>
    public const string FreeSpace = "The disk is full, or your share of it: free some space there and run it again.";

    /// <summary>The remedy for a file or folder that disappeared during a run.</summary>
    public const string PutBack = "Put the disk or the folder back, and run it again.";

    /// <summary>Chooses the remedy that fits a failure.</summary>
    /// <param name="cause">The failure.</param>
    /// <param name="path">The file or folder that could not be written.</param>
    /// <param name="otherwise">The remedy if the disk is not full.</param>
    /// <param name="whenFull">The remedy if the disk is full.</param>
    public static string Remedy(Exception cause, string path, string otherwise, string whenFull = FreeSpace) =>
        cause is FileNotFoundException or DirectoryNotFoundException ? PutBack : IsDiskFull(cause, path) ? whenFull : otherwise;

    /// <summary>Requires that a file that is being written still exists under its name, with its last known length.</summary>
    /// <param name="path">The path of the file.</param>
    /// <param name="length">The expected length in bytes.</param>
    /// <exception cref="FileNotFoundException">The file is gone, or another one replaced it.</exception>
    public static void RequireThere(string path, long length)
    {
        var file = new FileInfo(path);
        if (!file.Exists)
        {
            throw new FileNotFoundException($"'{path}' was there when the run began and is gone.", path);
        }

        if (file.Length != length)
        {
            throw new FileNotFoundException(
                FormattableString.Invariant(
                    $"'{path}' has {file.Length} bytes where the run has left {length}: something else has changed it."),
                path);
        }
    }

    /// <summary>True if a write failed because the disk, or the user's quota on it, is full.</summary>
    /// <param name="cause">The failure.</param>
    /// <param name="path">The file or folder that could not be written.</param>
    public static bool IsDiskFull(Exception cause, string path)
    {
        for (Exception? inner = cause; inner is not null; inner = inner.InnerException)
        {
            if (inner is IOException && HasCode(inner.HResult))
            {
                return true;
            }
        }

        // Some failures carry no code. Then a disk with less than a thousandth free counts as full.
        return cause is IOException && FindSpace(path) is { } space && space.Free < space.Total / 1000;
    }

    /// <summary>
    /// Finds the free and total bytes of the disk that a path is on; null if they are unknown, as on some network shares.
    /// </summary>
    /// <param name="path">The path of a file or folder, which need not exist.</param>
    public static (long Free, long Total)? FindSpace(string path)
    {
        try
        {
            string? existing = Path.GetFullPath(path);
            while (existing is not null && !Directory.Exists(existing))
            {
                existing = Path.GetDirectoryName(existing);
            }

            var drive = new DriveInfo(existing ?? Path.GetFullPath(path));
            return (drive.AvailableFreeSpace, drive.TotalSize);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or ArgumentException)
        {
            return null;
        }
    }

    /// <summary>Creates the exception for a full disk, with the error code that the system did not give.</summary>
    /// <param name="message">The message.</param>
    /// <param name="cause">The failure.</param>
    public static IOException DiskFull(string message, Exception cause) =>
        new(message, cause) { HResult = OperatingSystem.IsWindows() ? WindowsDiskFull : NoSpaceLeft };

    // ERROR_HANDLE_DISK_FULL, ERROR_DISK_FULL and ERROR_DISK_QUOTA_EXCEEDED of Windows.
    private static bool HasCode(int code) => OperatingSystem.IsWindows()
        ? (code & 0xFFFF) is 39 or 112 or 1295
        : code == NoSpaceLeft || code == (OperatingSystem.IsMacOS() ? MacQuotaExceeded : LinuxQuotaExceeded);
}

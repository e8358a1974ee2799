using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;

namespace Grpo.Tensors;

/// <summary>Gives a repaired library a path to load it from, without touching the package cache or the application's folder. Linux only.</summary>
internal static partial class ImagePlacement
{
    private const uint CloseOnExec = 1;

    // Kept open: glibc remembers a library by its path, which another file would take over once the descriptor is closed.
    private static readonly List<SafeFileHandle> OpenImages = [];

    /// <summary>A file that lives in memory only: needs no writable folder.</summary>
    /// <exception cref="IOException">The kernel refuses.</exception>
    /// <exception cref="EntryPointNotFoundException">The C library is older than memory files.</exception>
    public static string InMemory(ReadOnlySpan<byte> image, string name)
    {
        var file = new SafeFileHandle(CreateMemoryFile(name, CloseOnExec), ownsHandle: true);
        if (file.IsInvalid)
        {
            throw new IOException($"memfd_create failed: {Marshal.GetLastPInvokeErrorMessage()}.");
        }

        RandomAccess.Write(file, image, fileOffset: 0);
        lock (OpenImages)
        {
            OpenImages.Add(file);
        }

        return $"/proc/self/fd/{file.DangerousGetHandle()}";
    }

    /// <summary>A file in the user's cache folder, named by its content: written once, checked before every use.</summary>
    /// <param name="image">The library.</param>
    /// <param name="name">Its file name.</param>
    /// <param name="cache">The user's cache folder; see <see cref="UserCache"/>.</param>
    /// <exception cref="IOException">The folder cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder may not be written.</exception>
    public static string InCache(ReadOnlySpan<byte> image, string name, string cache)
    {
        string folder = Path.Combine(cache, "grpo", "native", Convert.ToHexStringLower(SHA256.HashData(image)));
        string path = Path.Combine(folder, name);
        if (File.Exists(path) && image.SequenceEqual(File.ReadAllBytes(path)))
        {
            return path;
        }

        const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        if (OperatingSystem.IsWindows())
        {
            Directory.CreateDirectory(folder);
        }
        else
        {
            Directory.CreateDirectory(folder, OwnerOnly);
        }

        // Written aside and moved: another process that starts now never sees half a file.
        string draft = $"{path}.{Guid.NewGuid():N}";
        File.WriteAllBytes(draft, image);
        File.Move(draft, path, overwrite: true);
        return path;
    }

    /// <summary>XDG_CACHE_HOME, else .cache in the home folder.</summary>
    /// <exception cref="IOException">The user has neither.</exception>
    public static string UserCache()
    {
        if (Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } cache)
        {
            return cache;
        }

        string home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
        return home.Length > 0 ? Path.Combine(home, ".cache") : throw new IOException("Neither XDG_CACHE_HOME nor HOME names a folder.");
    }

    [LibraryImport("libc", EntryPoint = "memfd_create", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int CreateMemoryFile(string name, uint flags);
}

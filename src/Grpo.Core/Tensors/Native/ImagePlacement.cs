using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;

namespace Grpo.Tensors;

/// <summary>Places a repaired library where it can be loaded, outside the package cache and the application's folder. Linux only.</summary>
internal static partial class ImagePlacement
{
    private const uint CloseOnExec = 1;

    // Kept open: glibc remembers a library by its path, and another file would get that path once the descriptor is closed.
    private static readonly List<SafeFileHandle> OpenImages = [];

    /// <summary>Writes the library to a file in memory, which needs no writable folder, and returns its path.</summary>
    /// <exception cref="IOException">The kernel refuses to create the file.</exception>
    /// <exception cref="EntryPointNotFoundException">The C library is too old for files in memory.</exception>
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

    /// <summary>Writes the library to a file in the user's cache folder, if it is not there yet, and returns its path.</summary>
    /// <param name="image">The bytes of the library.</param>
    /// <param name="name">The file name of the library.</param>
    /// <param name="cache">The user's cache folder; see <see cref="UserCache"/>.</param>
    /// <remarks>The folder is named by the hash of the content, and the content is compared before every use.</remarks>
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

        // Write to a temporary file and rename it, so that another process never sees half a file.
        string draft = $"{path}.{Guid.NewGuid():N}";
        File.WriteAllBytes(draft, image);
        File.Move(draft, path, overwrite: true);
        return path;
    }

    /// <summary>Finds the user's cache folder: XDG_CACHE_HOME, or else .cache in the home folder.</summary>
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

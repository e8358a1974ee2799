using System.Reflection;
using System.Runtime.InteropServices;

namespace Grpo;

/// <summary>
/// Loads TorchSharp's shim on a Linux whose libstdc++ lacks GLIBCXX_3.4.32 (Debian 12, Ubuntu 22.04, RHEL 9). The shim names that version
/// but binds nothing of it, so a copy with the version marked weak loads and works.
/// </summary>
internal static class ShimRepair
{
    private const string StandardLibrary = "libstdc++.so.6";

    /// <summary>Loads a repaired copy; the original stays as it is.</summary>
    /// <param name="shim">The full path of the original.</param>
    /// <param name="torchSharp">TorchSharp's assembly, beside which libtorch is searched.</param>
    /// <returns>The handle, or 0 when all versions are there: the original failed for another reason.</returns>
    /// <exception cref="BackendUnavailableException">libstdc++ is really too old, the file is damaged, or a copy cannot be placed anywhere.</exception>
    public static nint Load(string shim, Assembly torchSharp)
    {
        try
        {
            // The copy lies elsewhere, so the loader would not look for libtorch beside it: it must be in the process already.
            foreach (string library in (ReadOnlySpan<string>)["c10", "torch_cpu", "torch"])
            {
                if (!NativeLibrary.TryLoad(library, torchSharp, searchPath: null, out _))
                {
                    return 0;
                }
            }

            byte[] image = File.ReadAllBytes(shim);
            IReadOnlyList<string> weakened = ElfVersionRepair.Weaken(image, StandardLibrary, ProvidedVersions());
            return weakened.Count == 0 ? 0 : LoadCopy(image);
        }
        catch (Exception exception) when (exception is NotSupportedException or InvalidDataException or IOException or UnauthorizedAccessException)
        {
            throw new BackendUnavailableException($"'{shim}' does not load on this system and cannot be repaired: {exception.Message}", exception);
        }
    }

    private static IReadOnlySet<string> ProvidedVersions()
    {
        string path = File.ReadLines("/proc/self/maps")
            .Select(line => line.IndexOf('/') is var start and >= 0 ? line[start..] : "")
            .FirstOrDefault(path => Path.GetFileName(path).StartsWith(StandardLibrary, StringComparison.Ordinal))
            ?? throw new InvalidDataException($"{StandardLibrary} is not loaded in this process.");
        return new ElfImage(File.ReadAllBytes(path)).DefinedVersions();
    }

    private static nint LoadCopy(byte[] image)
    {
        string name = NativeFiles.FileName(NativeFiles.Shim);
        try
        {
            return NativeLibrary.Load(ImagePlacement.InMemory(image, name));
        }
        catch (Exception refused) when (refused is IOException or EntryPointNotFoundException or DllNotFoundException)
        {
            // Hardened systems forbid running code from memory files; a file in the user's cache is the other way.
            try
            {
                return NativeLibrary.Load(ImagePlacement.InCache(image, name, ImagePlacement.UserCache()));
            }
            catch (DllNotFoundException exception)
            {
                throw new IOException($"In memory: {refused.Message} In the cache folder: {exception.Message}", exception);
            }
        }
    }
}

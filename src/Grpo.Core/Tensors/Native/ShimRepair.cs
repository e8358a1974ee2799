using System.Reflection;
using System.Runtime.InteropServices;

namespace Grpo.Tensors;

/// <summary>
/// Loads TorchSharp's shim on a Linux whose libstdc++ lacks GLIBCXX_3.4.32 (Debian 12, Ubuntu 22.04, RHEL 9). The shim names that version
/// but uses no symbol of it, so a copy with the version marked as weak works.
/// </summary>
internal static class ShimRepair
{
    private const string StandardLibrary = "libstdc++.so.6";

    /// <summary>Loads a repaired copy of the shim. The original file stays unchanged.</summary>
    /// <param name="shim">The full path of the original.</param>
    /// <param name="torchSharp">TorchSharp's assembly. libtorch is searched next to it.</param>
    /// <returns>
    /// The handle. 0 if there is no libtorch, or if no version is missing, so that the original failed for another reason.
    /// </returns>
    /// <exception cref="BackendUnavailableException">
    /// libtorch does not load, libstdc++ lacks a version that is used, the file is damaged, or a copy cannot be written anywhere.
    /// </exception>
    public static nint Load(string shim, Assembly torchSharp)
    {
        try
        {
            // The copy is in another folder, where the loader would not find libtorch. So libtorch must be loaded first.
            foreach (string library in (ReadOnlySpan<string>)["c10", "torch_cpu", "torch"])
            {
                if (!NativeLibrary.TryLoad(library, torchSharp, searchPath: null, out _))
                {
                    return NativeFiles.FindInApplication(library) is { } path && NativeLoad.TryLoad(path, out string? reason) == 0
                        ? throw new BackendUnavailableException($"'{path}' does not load: {reason}")
                        : 0;
                }
            }

            byte[] image = File.ReadAllBytes(shim);
            IReadOnlyList<string> weakened = ElfVersionRepair.Weaken(image, StandardLibrary, ProvidedVersions());
            return weakened.Count == 0 ? 0 : LoadCopy(image);
        }
        catch (Exception exception)
            when (exception is NotSupportedException or InvalidDataException or IOException or UnauthorizedAccessException)
        {
            throw new BackendUnavailableException(
                $"'{shim}' does not load on this system and cannot be repaired: {exception.Message}", exception);
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
        string? refusal;
        try
        {
            if (NativeLoad.TryLoad(ImagePlacement.InMemory(image, name), out refusal) is not 0 and nint inMemory)
            {
                return inMemory;
            }
        }
        catch (Exception exception) when (exception is IOException or EntryPointNotFoundException)
        {
            refusal = exception.Message;
        }

        // Hardened systems forbid running code from files in memory. Try a file in the user's cache instead.
        return NativeLoad.TryLoad(ImagePlacement.InCache(image, name, ImagePlacement.UserCache()), out string? reason) is not 0
            and nint handle
            ? handle
            : throw new IOException($"From memory: {refusal} From the cache folder: {reason}");
    }
}

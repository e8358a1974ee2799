using System.Runtime.InteropServices;

namespace Grpo.Tensors;

/// <summary>Knows the file names of native libraries on this system, and the application's folders that hold them.</summary>
internal static class NativeFiles
{
    /// <summary>The name of TorchSharp's native library, the shim between C# and libtorch.</summary>
    public const string Shim = "LibTorchSharp";

    /// <summary>The runtime identifier in the names of backend packages, such as linux-x64.</summary>
    public static string RuntimeIdentifier { get; } = SystemName() + "-"
        + RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant();

    /// <summary>Returns the file name of a library: libtorch_cpu.so, torch_cpu.dll or libtorch_cpu.dylib for "torch_cpu".</summary>
    public static string FileName(string library) =>
        OperatingSystem.IsWindows() ? library + ".dll" : OperatingSystem.IsMacOS() ? $"lib{library}.dylib" : $"lib{library}.so";

    /// <summary>
    /// Finds a library in the application's folders, in the order in which the runtime searches them; null if there is none.
    /// </summary>
    public static string? FindInApplication(string library)
    {
        string file = FileName(library);
        foreach (string folder in ApplicationFolders())
        {
            string inRuntimes = Path.Combine(folder, "runtimes", RuntimeIdentifier, "native", file);
            foreach (string path in (ReadOnlySpan<string>)[Path.Combine(folder, file), inRuntimes])
            {
                if (File.Exists(path))
                {
                    return Path.GetFullPath(path);
                }
            }
        }

        return null;
    }

    private static string SystemName() =>
        OperatingSystem.IsWindows() ? "win"
        : OperatingSystem.IsMacOS() ? "osx"
        : RuntimeInformation.RuntimeIdentifier.Contains("-musl-", StringComparison.Ordinal) ? "linux-musl"
        : "linux";

    private static IEnumerable<string> ApplicationFolders()
    {
        if (AppContext.GetData("NATIVE_DLL_SEARCH_DIRECTORIES") is string searched)
        {
            foreach (string folder in searched.Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries))
            {
                yield return folder;
            }
        }

        yield return AppContext.BaseDirectory;
        string location = typeof(TorchSharp.torch).Assembly.Location; // empty in a single-file application
        if (location.Length > 0)
        {
            yield return Path.GetDirectoryName(location)!;
        }
    }
}

using System.Runtime.InteropServices;

namespace Grpo.Tensors;

/// <summary>How native libraries are called on this system, and where the application keeps them.</summary>
internal static class NativeFiles
{
    /// <summary>TorchSharp's own native library: the shim between C# and libtorch.</summary>
    public const string Shim = "LibTorchSharp";

    /// <summary>The identifier that backend packages are named after, such as linux-x64.</summary>
    public static string RuntimeIdentifier { get; } = SystemName() + "-" + RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant();

    /// <summary>libtorch_cpu.so, torch_cpu.dll or libtorch_cpu.dylib for "torch_cpu".</summary>
    public static string FileName(string library) =>
        OperatingSystem.IsWindows() ? library + ".dll" : OperatingSystem.IsMacOS() ? $"lib{library}.dylib" : $"lib{library}.so";

    /// <summary>The first file of that library in the application, in the order in which the runtime probes; null when there is none.</summary>
    public static string? FindInApplication(string library)
    {
        string file = FileName(library);
        foreach (string folder in ApplicationFolders())
        {
            foreach (string path in (ReadOnlySpan<string>)[Path.Combine(folder, file), Path.Combine(folder, "runtimes", RuntimeIdentifier, "native", file)])
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

using System.Diagnostics;
using System.Runtime.InteropServices;
using LLama.Native;

namespace Grpo.Benchmarks.LlamaCpp;

/// <summary>The native build of llama.cpp.</summary>
internal static class NativeBuild
{
    /// <summary>Chooses the build. Must be called before anything else of llama.cpp.</summary>
    /// <param name="instructions">The instruction set of the build, or auto.</param>
    public static void Choose(string instructions)
    {
        NativeLibraryConfig.LLama.WithLogCallback((level, message) =>
        {
            if (level == LLamaLogLevel.Error)
            {
                Console.Error.Write(message);
            }
        });
        if (instructions != "auto")
        {
            // Without a fallback, a build for a GPU would have to be there if one were allowed.
            NativeLibraryConfig.LLama.WithCuda(false).WithVulkan(false)
                .WithAvx(Enum.Parse<AvxLevel>(instructions, ignoreCase: true)).WithAutoFallback(false);
        }
    }

    /// <summary>Loads the build and describes it: the files that are loaded, and the instructions that they use.</summary>
    public static string Describe()
    {
        string features = Marshal.PtrToStringUTF8(NativeApi.llama_print_system_info()) ?? "";
        using Process self = Process.GetCurrentProcess();
        IEnumerable<string> files = self.Modules.Cast<ProcessModule>().Select(module => module.FileName)
            .Where(path => Path.GetFileName(path) is { } name
                && (name.Contains("llama", StringComparison.Ordinal) || name.Contains("ggml", StringComparison.Ordinal))
                && !name.EndsWith(".dll", StringComparison.Ordinal));
        return $"llama.cpp {string.Join(", ", files.Distinct().Order().Select(ShortName))}; {features.Trim()}";
    }

    // The folder is the instruction set.
    private static string ShortName(string path) =>
        Path.Combine(Path.GetFileName(Path.GetDirectoryName(path) ?? ""), Path.GetFileName(path));
}

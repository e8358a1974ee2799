using System.Runtime.InteropServices;

namespace Grpo.Tensors;

/// <summary>Controls the worker threads that libtorch's OpenMP keeps for each thread that has computed.</summary>
internal static unsafe class OpenMpTeam
{
    private const int Soft = 1;                        // omp_pause_soft: settings stay

    private static readonly Lazy<nint> Pause = new(Find);

    /// <summary>Ends the workers of the calling thread before another thread computes. Its next computation starts them again.</summary>
    /// <remarks>
    /// GNU's OpenMP counts the workers of all threads. With more workers than cores its barriers hardly spin, and every operation of a few
    /// microseconds puts workers to sleep and wakes them. An update of a small model took 1.6 times as long because another thread had
    /// loaded the model.
    /// </remarks>
    public static void Release()
    {
        if (Pause.Value != 0)
        {
            _ = ((delegate* unmanaged<int, int>)Pause.Value)(Soft);
        }
    }

    // Searches libtorch and its dependencies, so this is the OpenMP that libtorch uses. Only GNU's counts the workers of all threads.
    private static nint Find() =>
        OperatingSystem.IsLinux() && File.ReadLines("/proc/self/maps").Any(line => line.Contains("libgomp", StringComparison.Ordinal))
        && NativeLibrary.TryLoad("torch_cpu", typeof(TorchSharp.torch).Assembly, searchPath: null, out nint torch)
        && NativeLibrary.TryGetExport(torch, "omp_pause_resource_all", out nint pause) ? pause : 0;
}

using System.Runtime.InteropServices;

namespace Grpo.Tensors;

/// <summary>Controls the worker threads that libtorch's OpenMP keeps for each thread that has computed.</summary>
internal static unsafe class OpenMpTeam
{
    private const int Soft = 1;                        // omp_pause_soft: settings stay

    private static readonly Lazy<nint> Pause = new(() => Find("omp_pause_resource_all"));
    private static readonly Lazy<nint> Parallel = new(() => Find("GOMP_parallel"));

    /// <summary>True if libtorch uses GNU's OpenMP, whose workers can be ended.</summary>
    public static bool CanRelease => Pause.Value != 0;

    /// <summary>Ends the workers of the calling thread before another thread computes. Its next computation starts them again.</summary>
    /// <remarks>
    /// GNU's OpenMP counts the workers of all threads. With more workers than cores its barriers hardly spin, and every operation of a few
    /// microseconds puts workers to sleep and wakes them. An update of a small model took 1.6 times as long because another thread had
    /// loaded the model.
    /// </remarks>
    public static void Release()
    {
        if (CanRelease)
        {
            _ = ((delegate* unmanaged<int, int>)Pause.Value)(Soft);
        }
    }

    /// <summary>Starts workers for the calling thread as a computation would, without computing anything.</summary>
    /// <param name="members">The number of threads of the team, the calling one included.</param>
    public static void Start(int members)
    {
        if (Parallel.Value != 0 && NativeLibrary.TryLoad("libc.so.6", out nint library)
            && NativeLibrary.TryGetExport(library, "free", out nint free))
        {
            // every thread of the team calls free(null), which does nothing
            ((delegate* unmanaged<nint, nint, uint, uint, void>)Parallel.Value)(free, 0, (uint)members, 0);
        }
    }

    // Searches libtorch and its dependencies, so this is the OpenMP that libtorch uses. Only GNU's counts the workers of all threads.
    private static nint Find(string function) =>
        OperatingSystem.IsLinux() && File.ReadLines("/proc/self/maps").Any(line => line.Contains("libgomp", StringComparison.Ordinal))
        && NativeLibrary.TryLoad("torch_cpu", typeof(TorchSharp.torch).Assembly, searchPath: null, out nint torch)
        && NativeLibrary.TryGetExport(torch, function, out nint found) ? found : 0;
}

using System.Runtime.InteropServices;

namespace Grpo.Tensors;

/// <summary>The worker threads that libtorch's OpenMP keeps for each thread that has computed.</summary>
internal static unsafe class OpenMpTeam
{
    private const int Soft = 1;                        // omp_pause_soft: what was set stays set

    private static readonly Lazy<nint> Pause = new(Find);

    /// <summary>Ends the workers of the calling thread, which is about to let another one compute; they come back with its next computation.</summary>
    /// <remarks>
    /// GNU's OpenMP counts the workers of all threads. Are there more than cores, its barriers hardly spin and every operation of some
    /// microseconds puts its workers to sleep and wakes them: an update of a small model took 1.6 times as long because the model had been loaded on
    /// another thread.
    /// </remarks>
    public static void Release()
    {
        if (Pause.Value != 0)
        {
            _ = ((delegate* unmanaged<int, int>)Pause.Value)(Soft);
        }
    }

    // Of the OpenMP that libtorch itself was linked with: a library's dependencies are searched too. Only GNU's has the rule.
    private static nint Find() =>
        OperatingSystem.IsLinux() && File.ReadLines("/proc/self/maps").Any(line => line.Contains("libgomp", StringComparison.Ordinal))
        && NativeLibrary.TryLoad("torch_cpu", typeof(TorchSharp.torch).Assembly, searchPath: null, out nint torch)
        && NativeLibrary.TryGetExport(torch, "omp_pause_resource_all", out nint pause) ? pause : 0;
}

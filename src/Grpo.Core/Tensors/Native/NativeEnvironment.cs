using System.Runtime.InteropServices;

namespace Grpo;

/// <summary>Settings that libtorch and the C library take once, before libtorch loads.</summary>
internal static partial class NativeEnvironment
{
    // Of glibc's malloc.h.
    private const int TrimThreshold = -1;
    private const int MmapThreshold = -3;
    private const int ArenaMax = -8;

    /// <summary>Sets what the user has not set. Does nothing off Linux, where libtorch uses another OpenMP and allocator.</summary>
    /// <remarks>Environment.SetEnvironmentVariable changes .NET's copy only; native code reads libc's.</remarks>
    public static void Apply()
    {
        if (!OperatingSystem.IsLinux())
        {
            return;
        }

        // libgomp spins long at every barrier by default: beside another busy process several times slower, on a quiet machine no gain.
        // A wait policy chosen by the user is left alone, because the spin count would override it.
        if (Environment.GetEnvironmentVariable("OMP_WAIT_POLICY") is null)
        {
            SetUnlessPresent("GOMP_SPINCOUNT", "10000");
        }

        // Huge pages for large CPU tensors: a fifteenth of the page faults.
        SetUnlessPresent("THP_MEM_ALLOC_ENABLE", "1");

        // A heap per thread keeps what its thread has freed, so that memory creeps up as work moves between threads.
        TuneAllocator("MALLOC_ARENA_MAX", ArenaMax, 1);
        // By itself glibc raises this bound to 32 MiB; tensors below it stay in the heap when they are freed, in gaps that the next do not fit.
        TuneAllocator("MALLOC_MMAP_THRESHOLD_", MmapThreshold, (int)MemoryPlanner.LargeBlock);
        // What a bound of one's own would otherwise set to 128 KiB: the heap's end would go and come back many times a step.
        TuneAllocator("MALLOC_TRIM_THRESHOLD_", TrimThreshold, 64 << 20);
    }

    private static void TuneAllocator(string variable, int parameter, int value)
    {
        if (Environment.GetEnvironmentVariable(variable) is not null)
        {
            return;
        }

        try
        {
            _ = SetAllocator(parameter, value);
        }
        catch (EntryPointNotFoundException)
        {
            // Not glibc: nothing to tune.
        }
    }

    private static void SetUnlessPresent(string name, string value) => _ = SetEnvironment(name, value, overwrite: 0);

    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int SetEnvironment(string name, string value, int overwrite);

    [LibraryImport("libc", EntryPoint = "mallopt")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int SetAllocator(int parameter, int value);
}

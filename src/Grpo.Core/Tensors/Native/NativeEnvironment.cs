using System.Globalization;
using System.Runtime.InteropServices;

namespace Grpo.Tensors;

/// <summary>Sets the settings that libtorch and the C library read once, before libtorch loads.</summary>
internal static partial class NativeEnvironment
{
    // Parameters of mallopt, from glibc's malloc.h.
    private const int TrimThreshold = -1;
    private const int MmapThreshold = -3;
    private const int ArenaMax = -8;
    private const int Never = -1;

    private const string MmapVariable = "MALLOC_MMAP_THRESHOLD_";
    private const int LargestThreshold = 32 << 20;

    private static volatile int _largeBlock = LargestThreshold;

    /// <summary>The size in bytes from which freed blocks are returned to the system.</summary>
    public static long LargeBlock => _largeBlock;

    /// <summary>Sets what the user has not set. Does nothing on systems other than Linux, where OpenMP and allocator differ.</summary>
    /// <remarks>Environment.SetEnvironmentVariable changes only .NET's copy of the environment; native code reads libc's.</remarks>
    public static void Apply()
    {
        if (!OperatingSystem.IsLinux())
        {
            return;
        }

        // By default libgomp spins long at every barrier: several times slower beside another busy process, no gain on a quiet machine.
        // If the user has chosen a wait policy, the spin count stays unset, because it would override the policy.
        if (Environment.GetEnvironmentVariable("OMP_WAIT_POLICY") is null)
        {
            SetUnlessPresent("GOMP_SPINCOUNT", "10000");
        }

        // Huge pages for large CPU tensors cause a fifteenth of the page faults.
        SetUnlessPresent("THP_MEM_ALLOC_ENABLE", "1");

        // A heap per thread keeps what its thread has freed, so memory would grow as work moves between threads.
        TuneAllocator("MALLOC_ARENA_MAX", ArenaMax, 1);
        // glibc would raise its thresholds to this value over time. Set it from the start: returning pages many times a step costs more
        // than the step.
        if (int.TryParse(Environment.GetEnvironmentVariable(MmapVariable), NumberStyles.None, CultureInfo.InvariantCulture, out int chosen))
        {
            _largeBlock = chosen;
        }

        TuneAllocator(MmapVariable, MmapThreshold, LargestThreshold);
        // FreedMemory decides when the end of the heap is returned. If it cannot measure the used memory, glibc decides.
        TuneAllocator("MALLOC_TRIM_THRESHOLD_", TrimThreshold, FreedMemory.CanMeasure ? Never : 4 * LargestThreshold);
    }

    /// <summary>
    /// Lowers the size from which freed blocks are returned. Does nothing if the user has set one, or on other systems than Linux.
    /// </summary>
    /// <param name="block">The size in bytes.</param>
    public static void ReturnBlocksFrom(int block)
    {
        if (OperatingSystem.IsLinux() && Environment.GetEnvironmentVariable(MmapVariable) is null)
        {
            TuneAllocator(MmapVariable, MmapThreshold, block);
            _largeBlock = block;
        }
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
            // Another C library than glibc: nothing to tune.
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

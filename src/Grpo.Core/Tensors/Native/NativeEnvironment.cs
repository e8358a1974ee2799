using System.Globalization;
using System.Runtime.InteropServices;

namespace Grpo.Tensors;

/// <summary>Settings that libtorch and the C library take once, before libtorch loads.</summary>
internal static partial class NativeEnvironment
{
    // Of glibc's malloc.h.
    private const int TrimThreshold = -1;
    private const int MmapThreshold = -3;
    private const int ArenaMax = -8;
    private const int Never = -1;

    private const string MmapVariable = "MALLOC_MMAP_THRESHOLD_";
    private const int LargestThreshold = 32 << 20;

    private static volatile int _largeBlock = LargestThreshold;

    /// <summary>Blocks from this size on, bytes, go back to the system when they are freed.</summary>
    public static long LargeBlock => _largeBlock;

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
        // What glibc's own bounds rise to, from the first tensor on: pages that go and come back many times a step cost more than the step.
        if (int.TryParse(Environment.GetEnvironmentVariable(MmapVariable), NumberStyles.None, CultureInfo.InvariantCulture, out int chosen))
        {
            _largeBlock = chosen;
        }

        TuneAllocator(MmapVariable, MmapThreshold, LargestThreshold);
        // FreedMemory says when the end of the heap goes back; where it cannot ask what is in use, glibc does.
        TuneAllocator("MALLOC_TRIM_THRESHOLD_", TrimThreshold, FreedMemory.CanBound ? Never : 4 * LargestThreshold);
    }

    /// <summary>Lets smaller blocks go back, too. Does nothing off Linux, or where the user has chosen a bound.</summary>
    /// <param name="block">Bytes.</param>
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

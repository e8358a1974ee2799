using System.Runtime.InteropServices;

namespace Grpo;

/// <summary>Settings that libtorch and the C library take once, before libtorch loads.</summary>
internal static partial class NativeEnvironment
{
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

        if (Environment.GetEnvironmentVariable("MALLOC_ARENA_MAX") is null)
        {
            UseOneHeap();
        }
    }

    // A heap per thread keeps what its thread has freed, so that memory creeps up as work moves between threads.
    private static void UseOneHeap()
    {
        const int ArenaMax = -8;
        try
        {
            _ = SetAllocator(ArenaMax, 1);
        }
        catch (EntryPointNotFoundException)
        {
            // Not glibc: its allocator has no such heaps.
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

using System.Runtime.InteropServices;

namespace Grpo;

/// <summary>What the C library keeps of memory that was freed.</summary>
internal static partial class FreedMemory
{
    private static volatile bool _unavailable;

    /// <summary>Gives it back to the system, after work that takes other sizes than the steps around it: some milliseconds. Only glibc can.</summary>
    /// <remarks>
    /// glibc gives back the end of its first heap by itself, but not the holes below, of which every change between kinds of work leaves more.
    /// Threads older than <see cref="NativeEnvironment.Apply"/>, such as those of the runtime's compiler, have heaps of their own besides.
    /// </remarks>
    public static void GiveBack()
    {
        if (!OperatingSystem.IsLinux() || _unavailable)
        {
            return;
        }

        try
        {
            _ = Trim(0);
        }
        catch (EntryPointNotFoundException)
        {
            _unavailable = true; // not glibc
        }
    }

    [LibraryImport("libc", EntryPoint = "malloc_trim")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Trim(nuint keep);
}

using System.Runtime.InteropServices;

namespace Grpo.Tensors;

/// <summary>Whether memory can be refused to this process, or whether the system promises more than it has.</summary>
internal static partial class AddressSpace
{
    private const int AddressSpaceResource = 9; // RLIMIT_AS

    // Where the kernel promises only what it has (2), every allocation may fail.
    private static readonly bool IsPromisedStrictly = OperatingSystem.IsLinux() && ReadOvercommit() is not ("0" or "1");

    /// <summary>True off Linux, where the kernel promises no more than it has, and under a limit of the process's address space.</summary>
    public static bool MayBeRefused =>
        !OperatingSystem.IsLinux() || IsPromisedStrictly || GetLimit(AddressSpaceResource, out Limits limits) != 0 || limits.Current != nuint.MaxValue;

    private static string ReadOvercommit()
    {
        try
        {
            return File.ReadAllText("/proc/sys/vm/overcommit_memory").Trim();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return "unknown";
        }
    }

    [LibraryImport("libc", EntryPoint = "getrlimit")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int GetLimit(int resource, out Limits limits);

    [StructLayout(LayoutKind.Sequential)]
    private struct Limits
    {
        public nuint Current;
        public nuint Largest;
    }
}

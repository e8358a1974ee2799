using System.Runtime.InteropServices;

namespace Grpo.Tensors;

/// <summary>Tells whether an allocation of this process may be refused, or whether the system promises more memory than it has.</summary>
internal static partial class AddressSpace
{
    private const int AddressSpaceResource = 9; // RLIMIT_AS

    // In mode 2 the kernel promises no more memory than it has, so every allocation may fail.
    private static readonly bool IsPromisedStrictly = OperatingSystem.IsLinux() && ReadOvercommit() is not ("0" or "1");

    /// <summary>True on systems other than Linux, with strict overcommit, or if the process's address space is limited.</summary>
    public static bool MayBeRefused =>
        !OperatingSystem.IsLinux() || IsPromisedStrictly || GetLimit(AddressSpaceResource, out Limits limits) != 0
            || limits.Current != nuint.MaxValue;

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

using System.Runtime.InteropServices;

namespace Grpo.Models.Qwen.Tests.Planning;

/// <summary>A theory that asks the C library how much memory is in use, as glibc from 2.33 on can tell.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class MallocTheoryAttribute : TheoryAttribute
{
    public MallocTheoryAttribute()
    {
        if (!OperatingSystem.IsLinux() || !NativeLibrary.TryLoad("libc.so.6", out nint library)
            || !NativeLibrary.TryGetExport(library, "mallinfo2", out _))
        {
            Skip = "Memory in use is counted by glibc's mallinfo2, which this system does not have.";
        }
    }
}

using System.Runtime.InteropServices;

namespace Grpo.Models.Qwen.Tests.Planning;

/// <summary>What the C library has handed out. Linux with glibc only.</summary>
internal static class HeapUse
{
    /// <summary>Bytes in use.</summary>
    public static long Bytes()
    {
        MallocInfo info = Ask();
        return (long)(info.InArenas + info.Mapped);
    }

    [DllImport("libc", EntryPoint = "mallinfo2")]
    private static extern MallocInfo Ask();

    /// <summary>struct mallinfo2.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct MallocInfo
    {
        public nuint Arena, FreeChunks, FastChunks, MappedChunks, Mapped, Unused, FastBytes, InArenas, FreeBytes, Releasable;
    }
}

using System.Runtime.InteropServices;

namespace Grpo;

/// <summary>What the C library keeps of memory that was freed.</summary>
internal static partial class FreedMemory
{
    // With what a process has beside its heap. Pages that come and go cost more than a small model's arithmetic.
    private const long Kept = 512 << 20;
    private const long UsedPerKept = 32;

    private static bool s_canTrim = true;
    private static bool s_canAsk = true;

    /// <summary>Gives it back to the system, after work that takes other sizes than the steps around it: some milliseconds. Only glibc can.</summary>
    /// <remarks>
    /// glibc gives back the end of its first heap by itself, but not the holes below, of which every change between kinds of work leaves more.
    /// Threads older than <see cref="NativeEnvironment.Apply"/>, such as those of the runtime's compiler, have heaps of their own besides.
    /// </remarks>
    public static void GiveBack() => IfThere(ref s_canTrim, static () => _ = Trim(0));

    /// <summary>
    /// Gives it back where it has become much beside what is in use; called between the parts of an update. Gradients do not fit the holes that
    /// activations leave, nor the other way round: each block is aligned, and what lies between goes to small ones. The heap would be a fifth
    /// larger after one update and a third after some.
    /// </summary>
    /// <param name="kept">Bytes that may be kept, besides a share of what is in use.</param>
    public static void Bound(long kept = Kept) => IfThere(ref s_canAsk, () =>
    {
        MallocInfo info = Ask();
        long used = (long)(info.InUse + info.Mapped), most = MostKept(used, kept);
        // What was given back counts as free all the same: only the pages tell whether it is still there.
        if ((long)info.Free > most && Environment.WorkingSet - GC.GetGCMemoryInfo().TotalCommittedBytes > used + most)
        {
            _ = Trim(0);
        }
    });

    /// <summary>What a backward pass leaves of freed memory at most, together with what the process has beside its heap, bytes.</summary>
    /// <param name="used">Bytes in use.</param>
    /// <param name="kept">As in <see cref="Bound"/>.</param>
    public static long MostKept(long used, long kept = Kept) => kept + (used / UsedPerKept);

    private static void IfThere(ref bool isThere, Action action)
    {
        if (!OperatingSystem.IsLinux() || !Volatile.Read(ref isThere))
        {
            return;
        }

        try
        {
            action();
        }
        catch (EntryPointNotFoundException)
        {
            Volatile.Write(ref isThere, false); // not glibc, or one that is older: mallinfo2 came with 2.33
        }
    }

    [LibraryImport("libc", EntryPoint = "malloc_trim")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Trim(nuint keep);

    [LibraryImport("libc", EntryPoint = "mallinfo2")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial MallocInfo Ask();

    /// <summary>glibc's struct mallinfo2.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private readonly struct MallocInfo
    {
        public readonly nuint Heap, FreeChunks, FastChunks, MappedBlocks, Mapped, Unused, FastBytes, InUse, Free, AtEnd;
    }
}

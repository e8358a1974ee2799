using System.Runtime.InteropServices;

namespace Grpo.Tensors;

/// <summary>What the C library keeps of memory that was freed.</summary>
internal static partial class FreedMemory
{
    // With what a process has beside its heap. Pages that come and go cost more than a small model's arithmetic.
    private const long Kept = 384 << 20;
    private const long UsedPerKept = 32;

    private static readonly Lock Gate = new();
    private static long s_mostUsed;
    private static bool s_canTrim = true;
    private static bool s_canAsk = true;

    /// <summary>Whether <see cref="Bound"/> has an effect: what is in use can be asked for.</summary>
    public static bool CanBound
    {
        get
        {
            IfThere(ref s_canAsk, static () => _ = Ask());
            return OperatingSystem.IsLinux() && Volatile.Read(ref s_canAsk);
        }
    }

    /// <summary>Gives it back to the system, after work that takes other sizes than the steps around it: some milliseconds. Only glibc can.</summary>
    /// <remarks>
    /// Blocks that lie between others in use stay in the heap when they are freed, and so does its end (<see cref="NativeEnvironment"/>).
    /// Threads older than <see cref="NativeEnvironment.Apply"/>, such as those of the runtime's compiler, have heaps of their own besides.
    /// </remarks>
    public static void GiveBack() => IfThere(ref s_canTrim, static () => _ = Trim(0));

    /// <summary>
    /// Gives it back where the process has become much larger than what was in use at most; called between the parts of an update. Gradients do not
    /// fit the holes that activations leave, nor the other way round: each block is aligned, and what lies between goes to small ones. The heap
    /// would be a fifth larger after one update and a third after some.
    /// </summary>
    /// <param name="anew">Whether other work begins: what was in use before counts no more, since what it has left will hardly fit.</param>
    /// <param name="kept">Bytes that may be kept, besides a share of what is in use.</param>
    /// <remarks>
    /// Below that size nothing is given back: pages that a pass frees are those that the next one takes, and clearing them again was a tenth
    /// of an update of a 0.5B model.
    /// </remarks>
    public static void Bound(bool anew = false, long kept = Kept) => IfThere(ref s_canAsk, () =>
    {
        MallocInfo info = Ask();
        long used = (long)(info.InUse + info.Mapped), mostUsed;
        lock (Gate)
        {
            mostUsed = s_mostUsed = anew ? used : Math.Max(s_mostUsed, used);
        }

        long most = MostKept(mostUsed, kept);
        // What was given back counts as free all the same: only the pages tell whether it is still there.
        if ((long)info.Free > most && Environment.WorkingSet - GC.GetGCMemoryInfo().TotalCommittedBytes > mostUsed + most)
        {
            _ = Trim(0);
        }
    });

    /// <summary>What work leaves of freed memory at most, together with what the process has beside its heap, bytes.</summary>
    /// <param name="used">Bytes in use at most.</param>
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

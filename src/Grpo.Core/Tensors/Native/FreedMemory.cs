using System.Runtime.InteropServices;

namespace Grpo.Tensors;

/// <summary>Limits how much freed memory the C library keeps instead of returning it to the system.</summary>
internal static partial class FreedMemory
{
    // Includes what a process has besides its heap. Returning and clearing pages costs more than a small model's arithmetic.
    private const long Kept = 384 << 20;
    private const long UsedPerKept = 32;

    private static readonly Lock Gate = new();
    private static long s_mostUsed;
    private static bool s_canTrim = true;
    private static bool s_canMeasure = true;

    /// <summary>True if <see cref="TrimExcess"/> has an effect, because the C library reports how much memory is in use.</summary>
    public static bool CanMeasure
    {
        get
        {
            IfSupported(ref s_canMeasure, static () => _ = GetMallocInfo());
            return OperatingSystem.IsLinux() && Volatile.Read(ref s_canMeasure);
        }
    }

    /// <summary>Returns freed memory to the system after work with unusual sizes. Takes some milliseconds; works with glibc only.</summary>
    /// <remarks>
    /// Freed blocks between used ones stay in the heap, and so does its end (<see cref="NativeEnvironment"/>). Threads older than
    /// <see cref="NativeEnvironment.Apply"/>, such as those of the runtime's compiler, have further heaps.
    /// </remarks>
    public static void Trim() => IfSupported(ref s_canTrim, static () => _ = TrimHeap(0));

    /// <summary>
    /// Returns freed memory to the system if the process has become much larger than its high-water mark of used memory. Called between the
    /// parts of an update. Without it the heap would be a fifth larger after one update and a third after several.
    /// </summary>
    /// <param name="isNewPhase">True if other work begins: the high-water mark starts again from the present use.</param>
    /// <param name="kept">The number of bytes that may be kept, besides a share of the used memory.</param>
    /// <remarks>
    /// The heap grows because gradients do not fit the holes that activations leave, or vice versa: each block is aligned, and small blocks
    /// take the space between. Below the limit nothing is returned: the next pass takes the pages that this one freed, and clearing them
    /// again took a tenth of an update of a 0.5B model.
    /// </remarks>
    public static void TrimExcess(bool isNewPhase = false, long kept = Kept) => IfSupported(ref s_canMeasure, () =>
    {
        MallocInfo info = GetMallocInfo();
        long used = (long)(info.InUse + info.Mapped), mostUsed;
        lock (Gate)
        {
            mostUsed = s_mostUsed = isNewPhase ? used : Math.Max(s_mostUsed, used);
        }

        long most = MostKept(mostUsed, kept);
        // Returned pages still count as free, so only the working set tells whether the process still has them.
        if ((long)info.Free > most && Environment.WorkingSet - GC.GetGCMemoryInfo().TotalCommittedBytes > mostUsed + most)
        {
            _ = TrimHeap(0);
        }
    });

    /// <summary>Computes the most freed memory that stays, including what the process has besides its heap, in bytes.</summary>
    /// <param name="used">The high-water mark of used memory in bytes.</param>
    /// <param name="kept">The number of bytes that may be kept, besides a share of the used memory.</param>
    public static long MostKept(long used, long kept = Kept) => kept + (used / UsedPerKept);

    private static void IfSupported(ref bool isSupported, Action action)
    {
        if (!OperatingSystem.IsLinux() || !Volatile.Read(ref isSupported))
        {
            return;
        }

        try
        {
            action();
        }
        catch (EntryPointNotFoundException)
        {
            Volatile.Write(ref isSupported, false); // not glibc, or older than 2.33, which introduced mallinfo2
        }
    }

    [LibraryImport("libc", EntryPoint = "malloc_trim")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int TrimHeap(nuint keep);

    [LibraryImport("libc", EntryPoint = "mallinfo2")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial MallocInfo GetMallocInfo();

    /// <summary>The layout of glibc's struct mallinfo2.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private readonly struct MallocInfo
    {
        public readonly nuint Heap, FreeChunks, FastChunks, MappedBlocks, Mapped, Unused, FastBytes, InUse, Free, AtEnd;
    }
}

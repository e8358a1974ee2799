using System.Globalization;
using TorchSharp;

namespace Grpo.StressRun;

/// <summary>The resources of the process at one moment.</summary>
/// <param name="Step">The number of completed steps.</param>
/// <param name="ResidentBytes">The resident memory in bytes (VmRSS).</param>
/// <param name="ManagedBytes">The size of the managed heap in bytes.</param>
/// <param name="Tensors">The number of live tensors.</param>
/// <param name="Handles">The number of open files, sockets and similar handles.</param>
/// <param name="Threads">The number of threads.</param>
/// <param name="PeakBytes">The highest VmRSS in bytes since the last call of <see cref="ForgetPeak"/>, or since the start.</param>
internal sealed record ResourceUse(long Step, long ResidentBytes, long ManagedBytes, long Tensors, int Handles, int Threads, long PeakBytes)
{
    /// <summary>The names of the columns of <see cref="ToString"/>.</summary>
    public const string Header = "step,resident_bytes,managed_bytes,tensors,handles,threads,peak_bytes";

    /// <summary>Measures the process now. Linux only.</summary>
    /// <param name="step">The number of completed steps.</param>
    /// <param name="afterCollection">
    /// True to run a garbage collection first that returns freed memory to the system. False to measure with garbage.
    /// </param>
    public static ResourceUse Measure(long step, bool afterCollection)
    {
        long peak = Status("VmHWM:") * 1024;
        if (afterCollection)
        {
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        }

        return new ResourceUse(
            step, Status("VmRSS:") * 1024, GC.GetTotalMemory(forceFullCollection: false), torch.Tensor.TotalCount,
            Directory.EnumerateFileSystemEntries("/proc/self/fd").Count(), (int)Status("Threads:"), peak);
    }

    /// <summary>Resets the peak VmHWM to the resident memory of now. See clear_refs in proc(5).</summary>
    public static void ForgetPeak() => File.WriteAllText("/proc/self/clear_refs", "5");

    /// <summary>Reads a field of /proc/self/status in its own unit, which is kB for memory.</summary>
    /// <param name="field">The name of the field with the colon.</param>
    public static long Status(string field)
    {
        string line = File.ReadLines("/proc/self/status").First(line => line.StartsWith(field, StringComparison.Ordinal));
        return long.Parse(line.AsSpan(field.Length).Trim().TrimEnd(" kB"), CultureInfo.InvariantCulture);
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture, $"{Step},{ResidentBytes},{ManagedBytes},{Tensors},{Handles},{Threads},{PeakBytes}");
}

using System.Globalization;
using TorchSharp;

namespace Grpo.StressRun;

/// <summary>What the process holds at a moment.</summary>
/// <param name="Step">Steps done.</param>
/// <param name="ResidentBytes">Memory in use, VmRSS.</param>
/// <param name="ManagedBytes">Of it the managed heap.</param>
/// <param name="Tensors">Tensors alive.</param>
/// <param name="Handles">Open files, sockets and the like.</param>
/// <param name="Threads">Threads.</param>
/// <param name="PeakBytes">The highest VmRSS since <see cref="ForgetPeak"/> was last called, else since the start.</param>
internal sealed record ResourceUse(long Step, long ResidentBytes, long ManagedBytes, long Tensors, int Handles, int Threads, long PeakBytes)
{
    /// <summary>The names of the columns of <see cref="ToString"/>.</summary>
    public const string Header = "step,resident_bytes,managed_bytes,tensors,handles,threads,peak_bytes";

    /// <summary>Measures the process as it is now. Linux only.</summary>
    /// <param name="step">Steps done.</param>
    /// <param name="afterCollection">
    /// True: after a collection that gives back what it frees. False: with its garbage, as seen from outside.
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

    /// <summary>Makes VmHWM begin again at what is resident now; proc(5), clear_refs.</summary>
    public static void ForgetPeak() => File.WriteAllText("/proc/self/clear_refs", "5");

    /// <summary>A field of /proc/self/status, in its own unit: kB for memory.</summary>
    /// <param name="field">Its name with the colon.</param>
    public static long Status(string field)
    {
        string line = File.ReadLines("/proc/self/status").First(line => line.StartsWith(field, StringComparison.Ordinal));
        return long.Parse(line.AsSpan(field.Length).Trim().TrimEnd(" kB"), CultureInfo.InvariantCulture);
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture, $"{Step},{ResidentBytes},{ManagedBytes},{Tensors},{Handles},{Threads},{PeakBytes}");
}

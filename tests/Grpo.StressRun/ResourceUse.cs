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
internal sealed record ResourceUse(long Step, long ResidentBytes, long ManagedBytes, long Tensors, int Handles, int Threads)
{
    /// <summary>The names of the columns of <see cref="ToString"/>.</summary>
    public const string Header = "step,resident_bytes,managed_bytes,tensors,handles,threads";

    /// <summary>Now, after a collection that gives back what it frees: garbage that waits for one comes and goes. Linux only.</summary>
    /// <param name="step">Steps done.</param>
    public static ResourceUse Measure(long step)
    {
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        return new ResourceUse(
            step, Status("VmRSS:") * 1024, GC.GetTotalMemory(forceFullCollection: false), torch.Tensor.TotalCount,
            Directory.EnumerateFileSystemEntries("/proc/self/fd").Count(), (int)Status("Threads:"));
    }

    /// <summary>A field of /proc/self/status, in its own unit: kB for memory.</summary>
    /// <param name="field">Its name with the colon.</param>
    public static long Status(string field)
    {
        string line = File.ReadLines("/proc/self/status").First(line => line.StartsWith(field, StringComparison.Ordinal));
        return long.Parse(line.AsSpan(field.Length).Trim().TrimEnd(" kB"), CultureInfo.InvariantCulture);
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture, $"{Step},{ResidentBytes},{ManagedBytes},{Tensors},{Handles},{Threads}");
}

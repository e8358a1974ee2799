using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using Grpo.Tensors;

namespace Grpo.Callbacks;

/// <summary>Versions and hardware, without what would name a person or a machine.</summary>
internal static class MachineFacts
{
    private const string CpuInfo = "/proc/cpuinfo";

    public static IReadOnlyList<KeyValuePair<string, string>> Read()
    {
        var facts = new List<KeyValuePair<string, string>>
        {
            new("Grpo", Version(typeof(MachineFacts).Assembly)),
            new(".NET", RuntimeInformation.FrameworkDescription),
            new("Torch", Torch()),
            new("System", $"{RuntimeInformation.OSDescription.Trim()}, {RuntimeInformation.RuntimeIdentifier}"),
            new("Processor", Processor()),
            new("Memory", string.Create(CultureInfo.InvariantCulture, $"{GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / (double)(1L << 30):0.0} GiB usable by this process")),
        };
        return facts;
    }

    private static string Version(Assembly assembly) =>
        assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "of unknown version";

    // A report can be made of numbers alone, where no libtorch is installed.
    private static string Torch()
    {
        try
        {
            return TorchBackend.Describe();
        }
        catch (BackendUnavailableException)
        {
            return "no native backend";
        }
    }

    private static string Processor()
    {
        string cores = string.Create(CultureInfo.InvariantCulture, $"{Environment.ProcessorCount} logical {(Environment.ProcessorCount == 1 ? "core" : "cores")}");
        return ProcessorName() is { Length: > 0 } name ? $"{name}, {cores}" : $"{RuntimeInformation.ProcessArchitecture}, {cores}";
    }

    private static string? ProcessorName()
    {
        if (!File.Exists(CpuInfo))
        {
            return null;
        }

        string? line = File.ReadLines(CpuInfo).Take(64).FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal));
        return line is null ? null : line[(line.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim();
    }
}

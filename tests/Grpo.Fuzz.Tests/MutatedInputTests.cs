using System.Diagnostics;
using System.Globalization;
using Xunit.Abstractions;

namespace Grpo.Fuzz.Tests;

/// <summary>
/// Damaged files and texts, made from valid ones, are read or cause a documented exception.
/// </summary>
/// <remarks>
/// None may crash, take over a second, allocate more than twice the file and 64 MB, leave tensors alive, or cause a message with terminal
/// control sequences. GRPO_FUZZ=n tries about n inputs. Without it the tests take a few seconds.
/// </remarks>
public sealed class MutatedInputTests(ITestOutputHelper output)
{
    private const string Long = "GRPO_FUZZ";
    private const int Short = 25_000;

    private static readonly FuzzTarget[] Targets =
        [.. TensorTargets.All(), .. TrainingTargets.All(), .. RecordingTargets.All(), .. ModelTargets.All(), .. HubTargets.All(),
            .. RewardTargets.All(), .. TemplateTargets.All()];

    public static TheoryData<string> Names => [.. Targets.Select(target => target.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void Damaged_input_is_read_or_refused_as_documented(string name)
    {
        int number = Array.FindIndex(Targets, target => target.Name == name);
        FuzzTarget target = Targets[number];
        int total = int.TryParse(Environment.GetEnvironmentVariable(Long), NumberStyles.None, CultureInfo.InvariantCulture, out int asked)
            ? asked
            : Short;
        int weights = Targets.Sum(other => other.Weight), count = (int)(((long)total * target.Weight / weights) + 1);
        var run = new FuzzRun(target);
        long reserved = Reserved(), start = Stopwatch.GetTimestamp();
        run.Execute(number, first: 0, count);
        output.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"| {name} | {count} | {run.Accepted} | {run.Slowest.TotalMilliseconds:F0} | {run.Largest / 1048576.0:F1} | "
            + $"{Stopwatch.GetElapsedTime(start).TotalSeconds:F1} |"));
        Assert.InRange(run.Accepted, count == 1 ? 0 : 1, count); // some damage must be harmless, or the seeds do not reach the reader
        Assert.True(
            Reserved() - reserved < 1L << 30,
            $"{name}: {(Reserved() - reserved) >> 20} MB of address space were asked for beside the managed heap.");
    }

    // The peak of mapped memory, including memory that native code reserved and never touched.
    private static long Reserved() => !OperatingSystem.IsLinux() ? 0 : long.Parse(
        File.ReadLines("/proc/self/status").First(line => line.StartsWith("VmPeak:", StringComparison.Ordinal))
            .Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) << 10;
}

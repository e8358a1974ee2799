using System.Diagnostics;
using System.Globalization;

namespace Grpo.Benchmarks;

/// <summary>
/// Runs cases in turn, round by round, so that whatever the machine does meanwhile meets all of them, and takes medians over the rounds in which
/// nothing else used the cores (all rounds where the system does not tell, or where there were none).
/// </summary>
internal static class Stopwatches
{
    private const double Disturbed = 0.15;             // cores that others used on average

    /// <summary>Median seconds of each case.</summary>
    /// <param name="cases">Run in this order in every round; once more before the first, untimed.</param>
    /// <param name="rounds">How often.</param>
    public static Timing[] Compare(IReadOnlyList<Case> cases, int rounds)
    {
        foreach (Case item in cases)
        {
            item.Run();
        }

        var quiet = cases.Select(_ => new List<double>()).ToArray();
        var all = cases.Select(_ => new List<double>()).ToArray();
        for (int round = 0; round < rounds; round++)
        {
            for (int i = 0; i < cases.Count; i++)
            {
                double others = OtherProcessesSeconds(), total = 0, best = double.PositiveInfinity;
                for (int run = 0; run < cases[i].Tries; run++)
                {
                    long start = Stopwatch.GetTimestamp();
                    cases[i].Run();
                    double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
                    total += seconds;
                    best = Math.Min(best, seconds);
                }

                all[i].Add(best);
                if (OtherProcessesSeconds() - others < Disturbed * total)
                {
                    quiet[i].Add(best);
                }
            }
        }

        return [.. quiet.Zip(all, (undisturbed, any) => new Timing(Median(undisturbed.Count > 0 ? undisturbed : any), undisturbed.Count, rounds))];
    }

    private static double Median(List<double> values)
    {
        double[] sorted = [.. values.Order()];
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    // Linux: busy time of all cores less our own; elsewhere 0, so that no round counts as disturbed.
    private static double OtherProcessesSeconds()
    {
        if (!OperatingSystem.IsLinux())
        {
            return 0;
        }

        string[] fields = File.ReadLines("/proc/stat").First().Split(' ', StringSplitOptions.RemoveEmptyEntries);
        double[] hundredths = [.. fields[1..9].Select(field => double.Parse(field, CultureInfo.InvariantCulture))];
        const int Idle = 3, WaitsForDisk = 4;
        using Process self = Process.GetCurrentProcess();
        return ((hundredths.Sum() - hundredths[Idle] - hundredths[WaitsForDisk]) / 100) - self.TotalProcessorTime.TotalSeconds;
    }
}

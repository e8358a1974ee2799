using System.Diagnostics;
using System.Globalization;

namespace Grpo.Benchmarks;

/// <summary>The time that a case took.</summary>
/// <param name="Seconds">The median time of the quiet rounds in seconds, or of all rounds if none was quiet.</param>
/// <param name="QuietRounds">The number of rounds in which nothing else used the cores.</param>
/// <param name="Rounds">The number of all rounds.</param>
internal readonly record struct Timing(double Seconds, int QuietRounds, int Rounds);

/// <summary>
/// Runs cases in turn, round by round, so that other load on the machine affects all of them alike. Takes the median over the quiet rounds,
/// in which nothing else used the cores.
/// </summary>
/// <remarks>If no round is quiet, or the system does not report the load, all rounds count.</remarks>
internal static class Stopwatches
{
    private const double Disturbed = 0.15;             // mean number of cores that other processes used

    /// <summary>Measures the median time of each case.</summary>
    /// <param name="cases">The cases. Every round runs them in this order, after one untimed run of each.</param>
    /// <param name="rounds">The number of rounds.</param>
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

        return [.. quiet.Zip(
            all, (undisturbed, any) => new Timing(Median(undisturbed.Count > 0 ? undisturbed : any), undisturbed.Count, rounds))];
    }

    private static double Median(List<double> values)
    {
        double[] sorted = [.. values.Order()];
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    // On Linux this is the busy time of all cores minus our own. Elsewhere it is 0, so that every round counts as quiet.
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

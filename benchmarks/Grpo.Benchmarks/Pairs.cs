using System.Diagnostics;
using System.Globalization;
using static TorchSharp.torch;

namespace Grpo.Benchmarks;

/// <summary>
/// Times the cases of two builds of this program against each other. Both processes hold the same cases and run them in turn, so that
/// neither start-up nor a drift of the machine's speed enters the ratio.
/// </summary>
internal static class Pairs
{
    /// <summary>Runs the pairs of all lists of cases and prints the ratio of the times, this program's to the other's.</summary>
    /// <param name="other">The path of the other build.</param>
    /// <param name="arguments">The arguments that select the cases.</param>
    /// <param name="pairs">The number of pairs of runs of each case, after one untimed pair.</param>
    /// <param name="only">The names of the cases. None means all.</param>
    public static void Run(string other, string[] arguments, int pairs, string[] only)
    {
        Console.WriteLine($"| {"what",-56} | {"this, ms",10} | {"other, ms",10} | {"ratio",6} | 95 % interval | pairs |");
        Console.WriteLine("|---|---:|---:|---:|---|---:|");
        for (int list = 0; ; list++)
        {
            using var ours = new Server(ChildProcess.Program, list, arguments);
            using var theirs = new Server(other, list, arguments);
            string[] names = ours.Names;
            if (names.Length == 0)
            {
                return;
            }

            if (!names.SequenceEqual(theirs.Names))
            {
                throw new InvalidOperationException(
                    $"'{other}' has the cases '{string.Join("', '", theirs.Names)}' instead of '{string.Join("', '", names)}'.");
            }

            for (int item = 0; item < names.Length; item++)
            {
                // the plain ways that Case.Baseline names are the same in both
                if (only.Length == 0 ? !names[item].StartsWith("simple", StringComparison.Ordinal) : only.Contains(names[item]))
                {
                    Compare(names[item], item, ours, theirs, pairs);
                }
            }
        }
    }

    /// <summary>Runs the cases of one list as <see cref="Run"/> in another process asks for them.</summary>
    public static void Serve(Suite suite, Shape shape, Device device, bool decode, bool update, int list)
    {
        using var model = new ModelCases(shape, device);
        IReadOnlyList<CaseList> lists = suite.CaseLists(model, decode, update);
        var owners = new List<IDisposable>();
        IReadOnlyList<Case> cases = list < lists.Count ? lists[list](owners) : [];
        Console.WriteLine(string.Join('\t', cases.Select(item => item.Name)));
        while (Console.ReadLine() is { } line)
        {
            Case item = cases[int.Parse(line, CultureInfo.InvariantCulture)];
            long start = Stopwatch.GetTimestamp();
            item.Run();
            Console.WriteLine(Stopwatch.GetElapsedTime(start).TotalSeconds.ToString("R", CultureInfo.InvariantCulture));
        }

        owners.ForEach(owner => owner.Dispose());
    }

    private static void Compare(string name, int item, Server ours, Server theirs, int pairs)
    {
        ours.Time(item);
        theirs.Time(item);
        var times = new List<(double Ours, double Theirs)>();
        for (int pair = 0; pair < pairs; pair++)
        {
            // The order alternates, so that neither build always runs second.
            double first = (pair % 2 == 0 ? ours : theirs).Time(item), second = (pair % 2 == 0 ? theirs : ours).Time(item);
            times.Add(pair % 2 == 0 ? (first, second) : (second, first));
        }

        double[] ratios = [.. times.Select(time => time.Ours / time.Theirs).Order()];
        int low = LowerRank(pairs);
        Console.WriteLine(FormattableString.Invariant(
            $"| {name,-56} | {Median([.. times.Select(time => time.Ours).Order()]) * 1e3,10:F1} |") + FormattableString.Invariant(
            $" {Median([.. times.Select(time => time.Theirs).Order()]) * 1e3,10:F1} | {Median(ratios),6:F3} |") + FormattableString.Invariant(
            $" {ratios[low]:F3} to {ratios[pairs - 1 - low]:F3} | {pairs} |"));
    }

    // The interval of a median between two order statistics: the largest rank k with P(Binomial(n, 1/2) < k) <= 2.5 %.
    private static int LowerRank(int count)
    {
        double term = Math.Pow(0.5, count), below = term;
        int rank = 0;
        while (below <= 0.025)
        {
            rank++;
            term *= (double)(count - rank + 1) / rank;
            below += term;
        }

        return Math.Max(rank - 1, 0);
    }

    private static double Median(double[] sorted) => (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;

    private sealed class Server : IDisposable
    {
        private readonly Process _process;

        public Server(string program, int list, string[] arguments)
        {
            var start = new ProcessStartInfo(program, [.. arguments, "--serve", list.ToString(CultureInfo.InvariantCulture)])
            {
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
            };
            _process = Process.Start(start) ?? throw new InvalidOperationException($"'{program}' could not be started.");
            Names = ReadLine().Split('\t', StringSplitOptions.RemoveEmptyEntries);
        }

        /// <summary>The names of the cases, in order.</summary>
        public string[] Names { get; }

        /// <summary>Runs a case once and returns its seconds.</summary>
        public double Time(int item)
        {
            _process.StandardInput.WriteLine(item.ToString(CultureInfo.InvariantCulture));
            return double.Parse(ReadLine(), CultureInfo.InvariantCulture);
        }

        public void Dispose()
        {
            _process.StandardInput.Close();
            _process.WaitForExit();
            _process.Dispose();
        }

        private string ReadLine() => _process.StandardOutput.ReadLine()
            ?? throw new InvalidOperationException("The other process has ended. Its error is printed above.");
    }
}

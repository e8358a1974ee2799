using System.Diagnostics;
using System.Globalization;
using static TorchSharp.torch;

namespace Grpo.Benchmarks;

/// <summary>A program to compare with: another build of this one, or a peer.</summary>
/// <param name="Path">The path of the program.</param>
/// <param name="Arguments">The arguments for this program alone.</param>
internal sealed record OtherProgram(string Path, string[] Arguments);

/// <summary>
/// Times the cases of two programs against each other. Both processes hold the same cases and run them in turn, so that neither start-up
/// nor a drift of the machine's speed enters the ratio.
/// </summary>
/// <remarks>
/// The other program gets the arguments of this one. It prints the names of its cases, with tabs between them, and may print more to its
/// error stream. Then it reads an index per line, runs that case once and prints the seconds.
/// </remarks>
internal static class Pairs
{
    // Idle threads of the other process may spin for some hundredths of a second before they sleep.
    private static readonly TimeSpan SpinTime = TimeSpan.FromMilliseconds(100);

    /// <summary>Runs the pairs of all lists of cases and prints the ratio of the times, this program's to the other's.</summary>
    /// <param name="other">The other program.</param>
    /// <param name="arguments">The arguments that select the cases.</param>
    /// <param name="pairs">The number of pairs of runs of each case, after one untimed pair.</param>
    /// <param name="only">The names of the cases. None means all.</param>
    public static void Run(OtherProgram other, string[] arguments, int pairs, string[] only)
    {
        Console.WriteLine(
            $"| {"what",-56} | {"this, ms",10} | {"other, ms",10} | {"ratio",6} | 95 % interval "
            + "| times as fast | pairs | this, GiB | other, GiB |");
        Console.WriteLine("|---|---:|---:|---:|---|---|---:|---:|---:|");
        var unmatched = new List<string>();
        for (int list = 0; ; list++)
        {
            using var ours = new Server(new OtherProgram(ChildProcess.Program, []), list, arguments);
            string[] selected = [.. ours.Names.Where(name => IsSelected(name, only))];
            if (ours.Names.Length == 0)
            {
                break;
            }

            if (selected.Length > 0)
            {
                using var theirs = new Server(other, list, arguments);
                foreach (string name in selected)
                {
                    if (PeerCases.Counterpart(name, theirs.Names) is { } counterpart)
                    {
                        Compare(name, counterpart, ours, theirs, pairs);
                    }
                    else
                    {
                        unmatched.Add(name);
                    }
                }
            }
        }

        if (unmatched.Count > 0)
        {
            Console.WriteLine($"'{other.Path}' does not have: {string.Join("; ", unmatched)}");
        }
    }

    // The plain ways that Case.Baseline names are the same in another build.
    private static bool IsSelected(string name, string[] only) =>
        only.Length == 0 ? !name.StartsWith("simple", StringComparison.Ordinal) : only.Contains(name);

    /// <summary>Runs the cases of one list as <see cref="Run"/> in another process asks for them.</summary>
    public static void Serve(Suite suite, Shape shape, Device device, IReadOnlyList<string> parts, int list)
    {
        using var model = new ModelCases(shape, device);
        IReadOnlyList<CaseList> lists = suite.CaseLists(model, parts);
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

    private static void Compare(string name, string counterpart, Server ours, Server theirs, int pairs)
    {
        ours.Time(name);
        theirs.Time(counterpart);
        var times = new List<(double Ours, double Theirs)>();
        for (int pair = 0; pair < pairs; pair++)
        {
            // The order alternates, so that neither build always runs second.
            double? first = pair % 2 == 0 ? null : theirs.Time(counterpart);
            double our = ours.Time(name);
            times.Add((our, first ?? theirs.Time(counterpart)));
        }

        double[] ratios = [.. times.Select(time => time.Ours / time.Theirs).Order()];
        int rank = LowerRank(pairs);
        (double low, double ratio, double high) = (ratios[rank], Median(ratios), ratios[pairs - 1 - rank]);
        double[] seconds = [.. times.Select(time => time.Ours).Order()], others = [.. times.Select(time => time.Theirs).Order()];
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"| {name,-56} | {Median(seconds) * 1e3,10:F1} | {Median(others) * 1e3,10:F1} | {ratio,6:F3} | {low:F3} to {high:F3} | ")
            + string.Create(
                CultureInfo.InvariantCulture,
                $"{1 / ratio:F2} ({1 / high:F2} to {1 / low:F2}) | {pairs} | {InGiB(ours.Peak()):F2} | {InGiB(theirs.Peak()):F2} |"));

        static double InGiB(long bytes) => bytes / (double)(1 << 30);
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
        private static readonly HashSet<string> Reported = [];

        private readonly Process _process;
        private readonly string _path;

        public Server(OtherProgram program, int list, string[] arguments)
        {
            _path = program.Path;
            string[] all = [.. program.Arguments, .. arguments, "--serve", list.ToString(CultureInfo.InvariantCulture)];
            var start = new ProcessStartInfo(_path, all)
            {
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            };
            _process = Process.Start(start) ?? throw new InvalidOperationException($"'{_path}' could not be started.");
            _process.ErrorDataReceived += (_, received) => Report(received.Data);
            _process.BeginErrorReadLine();
            Names = ReadLine().Split('\t', StringSplitOptions.RemoveEmptyEntries);
        }

        /// <summary>The names of the cases, in order.</summary>
        public string[] Names { get; }

        /// <summary>Runs a case once and returns its seconds.</summary>
        public double Time(string name)
        {
            Thread.Sleep(SpinTime);
            _process.StandardInput.WriteLine(Array.IndexOf(Names, name).ToString(CultureInfo.InvariantCulture));
            return double.Parse(ReadLine(), CultureInfo.InvariantCulture);
        }

        /// <summary>Returns the peak memory of the process so far in bytes.</summary>
        public long Peak()
        {
            _process.Refresh();
            return _process.PeakWorkingSet64;
        }

        public void Dispose()
        {
            _process.StandardInput.Close();
            _process.WaitForExit();
            _process.Dispose();
        }

        private string ReadLine()
        {
            if (_process.StandardOutput.ReadLine() is { } line)
            {
                return line;
            }

            _process.WaitForExit(); // so that its error is printed first
            throw new InvalidOperationException(
                $"The process of '{_path}' has ended with exit code {_process.ExitCode}. Its error is printed above.");
        }

        // A process of each list describes itself in the same words.
        private static void Report(string? line)
        {
            lock (Reported)
            {
                if (line is not null && Reported.Add(line))
                {
                    Console.Error.WriteLine(line);
                }
            }
        }
    }
}

using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Grpo.KilledRun;
using Grpo.Testing;
using Grpo.Training;
using Xunit.Abstractions;

namespace Grpo.Core.Tests.Training;

/// <summary>
/// A run that is killed anywhere and resumed equals the one that was not: weights, moments, counters, records and logs, bit for bit.
/// GRPO_KILLS=all kills it at every place that the table in docs/reliability.md lists.
/// </summary>
[Trait("Speed", "Slow")]
public sealed class KilledRunTests(ITestOutputHelper output) : IDisposable
{
    private const string Long = "GRPO_KILLS";

    // In the order in which a run comes to them first.
    private static readonly string[] Places =
    [
        "evaluation", "rollout", "scoring", "update", "before the log", "after the log", "checkpoint: begun", "checkpoint: weights",
        "checkpoint: written", "checkpoint: flushed", "checkpoint: renamed", "checkpoint: pruned", "checkpoint: marked",
        "checkpoint: pruning",
    ];

    private static readonly string[] Short = ["scoring", "update", "before the log", "checkpoint: flushed"];

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_run_that_is_killed_and_resumed_equals_one_that_is_not()
    {
        var fuse = Fuse.Counting();
        using (var whole = new SmallRun(_folder["whole"], fuse))
        {
            TrainingSummary summary = await whole.TrainAsync();
            Assert.True(summary is { RollBacks: 1, Best.Step: 8 });
        }

        Assert.Equal(Places.Order(), fuse.Visits.Keys.Order());
        string expected = Describe(_folder["whole"]);
        bool all = Environment.GetEnvironmentVariable(Long) == "all";
        int kills = 0;
        foreach (string place in Places)
        {
            int visits = fuse.Visits[place];
            int[] chosen = all
                ? [.. new[] { 1, 1 + (visits / 3), 1 + (2 * visits / 3), visits }.Distinct()]
                : Short.Contains(place) ? [1 + (visits / 2)] : [];
            foreach (int visit in chosen)
            {
                string folder = _folder[string.Create(CultureInfo.InvariantCulture, $"killed-{++kills}")];
                await KillAsync(folder, place, visit);
                using var rest = new SmallRun(folder);
                TrainingSummary summary = await rest.TrainAsync();
                output.WriteLine($"| {place} | {visit} of {visits} | {SmallRun.Steps - summary.Steps} |");
                string actual = Describe(folder);
                Assert.True(
                    expected == actual, $"Killed at {place}, visit {visit}, the run ended otherwise:\n{actual}\nand not\n{expected}");
            }
        }

        Assert.True(kills >= (all ? 40 : 4), $"{kills} kills.");
    }

    [Fact]
    public async Task A_run_that_is_killed_again_and_again_equals_one_that_is_not()
    {
        using (var whole = new SmallRun(_folder["whole"]))
        {
            await whole.TrainAsync();
        }

        // Every life gets a little further than the one before, or dies while it takes up the work.
        bool all = Environment.GetEnvironmentVariable(Long) == "all";
        (string Place, int Visit)[] deaths =
            [("evaluation", 1), ("scoring", 30), ("checkpoint: flushed", 1), ("checkpoint: renamed", 1), ("update", 5)];
        foreach ((string place, int visit) in all ? deaths : deaths[2..4])
        {
            await KillAsync(_folder["killed"], place, visit);
        }

        using var rest = new SmallRun(_folder["killed"]);
        await rest.TrainAsync();
        Assert.Equal(Describe(_folder["whole"]), Describe(_folder["killed"]));
    }

    private static async Task KillAsync(string folder, string place, int visit)
    {
        string program = Path.Combine(AppContext.BaseDirectory, "Grpo.KilledRun.dll");
        var start = new ProcessStartInfo("dotnet", [program, folder, place, visit.ToString(CultureInfo.InvariantCulture)])
        {
            RedirectStandardError = true,
            RedirectStandardOutput = true,
        };
        using Process process = Process.Start(start)!;
        Task<string> errors = process.StandardError.ReadToEndAsync(), says = process.StandardOutput.ReadToEndAsync();
        using var limit = new CancellationTokenSource(TimeSpan.FromMinutes(3));
        try
        {
            await process.WaitForExitAsync(limit.Token);
            Assert.True(process.ExitCode is 137 or -1, $"{place}, visit {visit}: exit code {process.ExitCode}. {await says}{await errors}");
        }
        finally
        {
            process.Kill(entireProcessTree: true); // nothing happens when it has ended
        }
    }

    /// <summary>All that a run leaves behind, without the times in the metrics.</summary>
    private static string Describe(string folder)
    {
        string last = Path.Combine(folder, "checkpoints", FormattableString.Invariant($"checkpoint-{SmallRun.Steps:D6}"));
        IEnumerable<string> files = Directory.GetFiles(last).Order(StringComparer.Ordinal)
            .Select(file => $"{Path.GetFileName(file)}: {Convert.ToHexString(File.ReadAllBytes(file))}");
        IEnumerable<string> metrics = File.ReadLines(Path.Combine(folder, "metrics.jsonl")).Select(line =>
        {
            JsonObject step = JsonNode.Parse(line)!.AsObject();
            foreach (string name in step.Select(pair => pair.Key)
                .Where(name => name.StartsWith("time/", StringComparison.Ordinal)).ToArray())
            {
                step.Remove(name);
            }

            return step.ToJsonString();
        });
        // An old checkpoint may be left over until the next save: only a save knows how many to keep.
        Assert.DoesNotContain(
            Directory.GetFileSystemEntries(Path.Combine(folder, "checkpoints")),
            path => Path.GetFileName(path).StartsWith(".tmp-", StringComparison.Ordinal));
        return string.Join('\n', [File.ReadAllText(Path.Combine(folder, "checkpoints", "best.json")), .. files, .. metrics,
            File.ReadAllText(Path.Combine(folder, "completions.jsonl"))]);
    }
}

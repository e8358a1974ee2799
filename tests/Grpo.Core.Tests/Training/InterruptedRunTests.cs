using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using System.Xml;
using System.Xml.Linq;
using Grpo.KilledRun;
using Grpo.Testing;
using Grpo.Training;
using Xunit.Abstractions;

namespace Grpo.Core.Tests.Training;

/// <summary>
/// A run that is interrupted again and again, each time in another way, leaves the report, the logs and the checkpoint of one that was
/// not. Of the report these times are left out: the day it was written, the wall time, tokens a second, and the charts of throughput and of
/// the time of a step; of metrics.jsonl the fields <c>time/</c>; of the checkpoint the report's own state, which holds those times.
/// </summary>
[Trait("Speed", "Slow")]
public sealed class InterruptedRunTests(ITestOutputHelper output) : IDisposable
{
    private static readonly string[] Charts = ["chart-throughput", "chart-time"];

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task A_run_interrupted_ten_times_leaves_the_report_of_one_that_is_not(int seed)
    {
        string expected = await WholeAsync();
        var random = new Random(seed);
        string folder = _folder["interrupted"];
        for (int interruption = 0; interruption < 10; interruption++)
        {
            string way = await InterruptAsync(folder, random, interruption);
            output.WriteLine($"{way}: {await LatestAsync(folder)} steps kept");
            Assert.True(await LatestAsync(folder) < SmallRun.Steps, "The run was over before the last interruption.");
        }

        using (var rest = new SmallRun(folder) { HasReport = true })
        {
            await rest.TrainAsync();
        }

        Assert.Equal(expected, Describe(folder));
    }

    // Each evaluation is two places. That of step 6 finds the policy collapsed, which rolls it back: an event of step 6 also
    // when it comes late.
    [Theory]
    [InlineData(3)]
    [InlineData(7)]
    [InlineData(8)]
    [InlineData(12)]
    public async Task An_evaluation_that_fails_and_is_made_up_for_leaves_the_same_report(int visit)
    {
        string expected = await WholeAsync();
        Assert.Contains("Rolled back to the checkpoint of step 4", expected, StringComparison.Ordinal);
        var fuse = Fuse.At("evaluation", visit, () => throw new InvalidOperationException("broken on purpose"));
        using (var run = new SmallRun(_folder["failed"], fuse) { HasReport = true })
        {
            await Assert.ThrowsAsync<InvalidOperationException>(() => run.TrainAsync());
        }

        using (var rest = new SmallRun(_folder["failed"]) { HasReport = true })
        {
            await rest.TrainAsync();
        }

        Assert.Equal(expected, Describe(_folder["failed"]));
    }

    [Fact]
    public async Task A_finished_run_that_is_started_again_leaves_its_report()
    {
        string expected = await WholeAsync();
        using (var again = new SmallRun(_folder["whole"]) { HasReport = true })
        {
            TrainingSummary summary = await again.TrainAsync();
            Assert.Equal((0, SmallRun.Steps), (summary.Steps, summary.LastStep));
        }

        Assert.Equal(expected, Describe(_folder["whole"]));
        Assert.Contains("Trained for 9 steps", File.ReadAllText(Path.Combine(_folder["whole"], "report.html")), StringComparison.Ordinal);
    }

    private async Task<string> WholeAsync()
    {
        using var whole = new SmallRun(_folder["whole"]) { HasReport = true };
        await whole.TrainAsync();
        return Describe(_folder["whole"]);
    }

    // Kills are slow, so two of the ten are; the others are what a run survives within its process.
    private static async Task<string> InterruptAsync(string folder, Random random, int interruption)
    {
        string[] places = ["scoring", "update", "evaluation", "before the log", "after the log", "rollout"];
        string place = places[random.Next(places.Length)];
        int visit = place is "scoring" or "update" or "rollout" ? random.Next(1, 12) : 1;
        switch (interruption % 5)
        {
            case 0:
                using (var run = new SmallRun(folder) { HasReport = true })
                {
                    await run.LeaveAsync(1);
                }

                return "left";
            case 1:
                string program = Path.Combine(AppContext.BaseDirectory, "Grpo.KilledRun.dll");
                string[] arguments = [program, folder, place, visit.ToString(CultureInfo.InvariantCulture), "report"];
                using (Process process = Process.Start("dotnet", arguments))
                {
                    await process.WaitForExitAsync();
                    Assert.True(process.ExitCode is 137 or -1, $"exit code {process.ExitCode}");
                }

                return $"killed at {place} {visit}";
            case 2 or 4:
                var fuse = Fuse.At(place, visit, () => throw new InvalidOperationException("broken on purpose"));
                using (var run = new SmallRun(folder, fuse) { HasReport = true })
                {
                    Exception failure = await Assert.ThrowsAnyAsync<Exception>(() => run.TrainAsync());
                    Assert.Contains("broken on purpose", failure.ToString(), StringComparison.Ordinal);
                }

                return $"failed at {place} {visit}";
            default:
                using (var stop = new CancellationTokenSource())
                using (var run = new SmallRun(folder, Fuse.At(place, visit, stop.Cancel)) { HasReport = true })
                {
                    await Assert.ThrowsAnyAsync<OperationCanceledException>(() => run.TrainAsync(stop.Token));
                }

                return $"canceled at {place} {visit}";
        }
    }

    private static async Task<long> LatestAsync(string folder) => await EndedRun.LatestAsync(Path.Combine(folder, "checkpoints"));

    private static string Describe(string folder)
    {
        string last = Path.Combine(folder, "checkpoints", FormattableString.Invariant($"checkpoint-{SmallRun.Steps:D6}"));
        IEnumerable<string> checkpoint = Directory.GetFiles(last)
            .Where(file => Path.GetFileName(file) is not ("report_state.json" or "checkpoint.json"))
            .Order(StringComparer.Ordinal).Select(file => $"{Path.GetFileName(file)} {Convert.ToHexString(File.ReadAllBytes(file))}");
        IEnumerable<string> metrics = File.ReadLines(Path.Combine(folder, "metrics.jsonl")).Select(WithoutTimes);
        return string.Join('\n', [Report(folder), .. metrics, File.ReadAllText(Path.Combine(folder, "completions.jsonl")), .. checkpoint]);
    }

    private static string WithoutTimes(string line)
    {
        JsonObject step = JsonNode.Parse(line)!.AsObject();
        foreach (string time in step.Select(pair => pair.Key).Where(name => name.StartsWith("time/", StringComparison.Ordinal)).ToArray())
        {
            step.Remove(time);
        }

        return step.ToJsonString();
    }

    private static string Report(string folder)
    {
        var settings = new XmlReaderSettings { DtdProcessing = DtdProcessing.Ignore, XmlResolver = null };
        using var reader = XmlReader.Create(Path.Combine(folder, "report.html"), settings);
        XElement page = XDocument.Load(reader).Root!.Element("body")!;
        page.Descendants("figure").Where(figure => figure.Descendants().Any(item => Charts.Contains(item.Attribute("id")?.Value))).Remove();
        Card("Wall time").Remove();
        Card("Completion tokens").Elements("p").Single(item => item.Attribute("class")!.Value == "note").Remove();
        page.Descendants("dt").Single(item => item.Value == "Written").ElementsAfterSelf("dd").First().Remove();
        return page.ToString();

        XElement Card(string name) => page.Descendants("div").Single(item =>
            item.Attribute("class")?.Value.StartsWith("card stat", StringComparison.Ordinal) == true
            && item.Elements("p").First().Value == name);
    }
}

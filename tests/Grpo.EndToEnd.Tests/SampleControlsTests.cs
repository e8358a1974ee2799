using System.Globalization;
using System.Text.RegularExpressions;

namespace Grpo.EndToEnd.Tests;

/// <summary>The command controls from the outside.</summary>
[Trait("Speed", "Slow")]
public sealed class SampleControlsTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("grpo-controls-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Controls_writes_a_row_per_run()
    {
        SampleProcess.Result result = (await SampleProcess.RunAsync(
            "Gsm8k", "controls", "--runs", "learning-rate-0,shuffled-reward,random-reward,format-reward,gspo", "--steps", "1",
            "--eval-count", "12",
            "--prompts-per-step", "2", "--group-size", "2", "--max-completion-tokens", "48", "--output", _folder)).Succeeded();
        string[][] rows = [.. File.ReadLines(Path.Combine(_folder, "controls.md")).Skip(2)
            .Select(line => line.Trim('|').Split('|', StringSplitOptions.TrimEntries))];

        Assert.Equal(["learning-rate-0", "shuffled-reward", "random-reward", "format-reward", "gspo"], rows.Select(row => row[0]));
        Assert.Equal(rows[0][2], rows[0][3]);   // nothing is learned at a rate of 0, to the last problem
        Assert.Equal("1", rows[0][5]);          // … and McNemar's test says so
        // two prompts of two completions, one step
        Assert.Equal(4, File.ReadLines(Path.Combine(_folder, "gspo", "completions.jsonl")).Count());
        Assert.All(rows, row => Assert.Matches(@"^\d+\.\d \(\d+\.\d-\d+\.\d\)$", row[2]));
        Assert.Contains("GSPO", result.Output, StringComparison.Ordinal);
    }

    // Without the tiny model the rate is unset: 1e-6 and 1e-5 by default, times 0 and 20.
    [Fact]
    public async Task Controls_scales_a_rate_that_is_not_set()
    {
        string[] run =
        [
            "controls", "--runs", "real,learning-rate-0,collapse", "--model", SampleProcess.TinyModel, "--explain", "true",
            "--output", _folder,
        ];
        string full = (await SampleProcess.RunAsync("Gsm8k", run)).Succeeded().Output;
        string adapter = (await SampleProcess.RunAsync("Gsm8k", [.. run, "--lora-rank", "4"])).Succeeded().Output;
        Assert.Equal([1e-6, 0, 2e-5], Rates(full));
        Assert.Equal([1e-5, 0, 2e-4], Rates(adapter));

        static IEnumerable<double> Rates(string output) => Regex.Matches(output, @"AdamW, learning rate (\S+) constant")
            .Select(match => Math.Round(double.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture), 12));
    }

    [Fact]
    public async Task Controls_names_a_run_that_there_is_not() =>
        (await SampleProcess.RunAsync("Gsm8k", "controls", "--runs", "real,lucky", "--output", _folder))
            .Failed("There is no run 'lucky'", "shuffled-reward", "dapo");
}

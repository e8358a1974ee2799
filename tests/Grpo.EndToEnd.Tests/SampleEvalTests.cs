using System.Text.Json;

namespace Grpo.EndToEnd.Tests;

/// <summary>The command eval from the outside.</summary>
[Trait("Speed", "Slow")]
public sealed class SampleEvalTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("grpo-eval-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Eval_prints_its_tables_writes_the_report_and_compares_with_an_earlier_one()
    {
        string first = Path.Combine(_folder, "first.json"), second = Path.Combine(_folder, "second.json");
        string[] settings = ["eval", "--eval-count", "6", "--max-completion-tokens", "48", "--samples", "2"];
        SampleProcess.Result result = (await SampleProcess.RunAsync("Gsm8k", [.. settings, "--json", first])).Succeeded();
        foreach (string text in new[]
        {
            "accuracy (TagAnswer)", "accuracy (last number)", "95 % interval", "verdict", "steps", "pass@k", "maj@k",
        })
        {
            Assert.Contains(text, result.Output, StringComparison.Ordinal);
        }

        Assert.DoesNotContain("McNemar", result.Output, StringComparison.Ordinal);
        JsonElement report = JsonDocument.Parse(File.ReadAllText(first)).RootElement.GetProperty("report");
        Assert.Equal(6, report.GetProperty("items").GetArrayLength());
        Assert.Equal(6, report.GetProperty("verdicts").EnumerateObject().Sum(verdict => verdict.Value.GetInt32()));
        Assert.Equal([1, 2], report.GetProperty("sampled").GetProperty("accuracies").EnumerateArray()
            .Select(row => row.GetProperty("k").GetInt32()));
        Assert.All(report.GetProperty("items").EnumerateArray(), item => Assert.Equal(2, item.GetProperty("samples").GetArrayLength()));

        // The same weights, problems and seed: the same file, and nothing fixed or broken.
        SampleProcess.Result again = (await SampleProcess.RunAsync("Gsm8k", [.. settings, "--json", second, "--compare", first]))
            .Succeeded();
        Assert.Equal(File.ReadAllBytes(first), File.ReadAllBytes(second));
        Assert.Matches(@"fixed \(wrong, then right\)\W+0\W", again.Output);
        Assert.Matches(@"broken \(right, then wrong\)\W+0\W", again.Output);
        Assert.Matches(@"p \(McNemar, exact\)\W+1\W", again.Output);
        (await SampleProcess.RunAsync("Gsm8k", "eval", "--eval-count", "5", "--max-completion-tokens", "4", "--compare", first))
            .Failed("not about the same items", "word-problems/test/2/1-3/5");
    }

    [Fact]
    public async Task Eval_names_the_mistake_before_it_loads_a_model()
    {
        (await SampleProcess.RunAsync("Gsm8k", "eval", "--compare", Path.Combine(_folder, "none.json")))
            .Failed("none.json", "--json of eval");
        (await SampleProcess.RunAsync("Gsm8k", "eval", "--samples", "-1")).Failed("Samples is -1");
        (await SampleProcess.RunAsync("Gsm8k", "eval", "--samples", "4", "--temperature", "0"))
            .Failed("Temperature is 0", "greedy samples");
    }
}

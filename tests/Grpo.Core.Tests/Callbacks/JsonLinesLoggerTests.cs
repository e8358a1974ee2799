using System.Globalization;
using System.Text.Json;
using Grpo.Callbacks;
using Grpo.Testing;
using Grpo.Training;

namespace Grpo.Core.Tests.Callbacks;

public sealed class JsonLinesLoggerTests
{
    [Fact]
    public async Task OnStepAsync_writes_one_object_a_step_and_one_a_completion()
    {
        using var folder = new TemporaryFolder();
        TrainingStep report = StepMetricsTests.FullReport();
        CultureInfo before = CultureInfo.CurrentCulture;
        try
        {
            CultureInfo.CurrentCulture = CultureInfo.GetCultureInfo("de-DE");
            using var logger = new JsonLinesLogger(folder["run"]);
            await logger.OnStepAsync(report);
            await logger.OnStepAsync(report with { Report = report.Report with { Step = 8 } });
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }

        JsonElement[] metrics = Lines(folder["run/metrics.jsonl"]);
        Assert.Equal([7, 8], metrics.Select(line => line.GetProperty("step").GetInt32()));
        Assert.Equal(
            StepMetrics.From(report).Select(metric => (metric.Key, metric.Value)),
            metrics[0].EnumerateObject().Select(property => (property.Name, property.Value.GetDouble())));

        JsonElement[] completions = Lines(folder["run/completions.jsonl"]);
        Assert.Equal(4, completions.Length);
        Assert.Equal(
            """{"step":7,"prompt_id":"p0","sample":0,"prompt":"b","completion":"ab","answer":null,"reward":1"""
            + ""","verdict":"yes","advantage":0.7,"tokens":3,"finish_reason":"EndToken"}""",
            completions[0].GetRawText());
        Assert.Equal(("c", "Truncated", -0.7), (
            completions[1].GetProperty("completion").GetString(), completions[1].GetProperty("finish_reason").GetString(),
            completions[1].GetProperty("advantage").GetDouble()));
    }

    [Fact]
    public async Task OnEvaluationAsync_puts_the_numbers_where_they_would_have_stood()
    {
        using var folder = new TemporaryFolder();
        TrainingStep report = StepMetricsTests.FullReport();
        using (var whole = new JsonLinesLogger(folder["whole"]))
        using (var late = new JsonLinesLogger(folder["late"]))
        {
            foreach (long step in new[] { 6L, 7, 8 })
            {
                await whole.OnStepAsync(report with { Report = report.Report with { Step = step } });
                await late.OnStepAsync(StepMetricsTests.FullReport(step) with { Evaluation = step == 7 ? null : report.Evaluation });
            }

            Assert.NotEqual(File.ReadAllText(folder["whole/metrics.jsonl"]), File.ReadAllText(folder["late/metrics.jsonl"]));
            await late.OnEvaluationAsync(7, report.Evaluation! with { Accuracy = 0.125 });
            await late.OnEvaluationAsync(7, report.Evaluation!); // a run that is killed before its next checkpoint evaluates again
            Assert.Equal(File.ReadAllText(folder["whole/metrics.jsonl"]), File.ReadAllText(folder["late/metrics.jsonl"]));

            await late.OnEvaluationAsync(99, report.Evaluation!); // of a step that is not there: nothing to put it into
            await late.OnStepAsync(report with { Report = report.Report with { Step = 9 } });
        }

        Assert.Equal([6, 7, 8, 9], Lines(folder["late/metrics.jsonl"]).Select(line => line.GetProperty("step").GetInt32()));
    }

    [Fact]
    public async Task OnStepAsync_writes_null_for_an_abstention_and_any_text_on_one_line()
    {
        using var folder = new TemporaryFolder();
        var completion = new Completion([2], "line\nbreak \"quoted\" ✓ 😀 \u0000", FinishReason.EndToken);
        var group = new RolloutGroup(Prompt.Create("p", "x", answer: "4"), [2], [completion]);
        var report =
            new TrainingStep(StepMetricsTests.FullReport().Report with { Groups = [new ScoredGroup(group, [Reward.Abstain], [0])] });
        using (var logger = new JsonLinesLogger(folder.Path))
        {
            await logger.OnStepAsync(report);
        }

        JsonElement line = Assert.Single(Lines(folder["completions.jsonl"]));
        Assert.Equal(JsonValueKind.Null, line.GetProperty("reward").ValueKind);
        Assert.Equal(completion.Text, line.GetProperty("completion").GetString());
        Assert.Equal("4", line.GetProperty("answer").GetString());
    }

    [Fact]
    public async Task OnStepAsync_writes_hostile_text_as_one_line_of_ascii()
    {
        const string Hostile =
            "<script>'\"`&</script> \r\n \u001b[31m\u001b]0;x\u0007 \u009b \u202E\u2066\u2028\uFEFF \uD83D \uDE00\uD83D 😀 {\"step\":99}";
        // no UTF-8 for half a pair
        const string Read =
            "<script>'\"`&</script> \r\n \u001b[31m\u001b]0;x\u0007 \u009b \u202E\u2066\u2028\uFEFF \uFFFD \uFFFD\uFFFD 😀 {\"step\":99}";
        using var folder = new TemporaryFolder();
        var group = new RolloutGroup(
            Prompt.Create(Hostile, Hostile, answer: Hostile), [2], [new Completion([2], Hostile, FinishReason.EndToken)]);
        var report = new TrainingStep(
            StepMetricsTests.FullReport().Report with { Groups = [new ScoredGroup(group, [new Reward(1) { Verdict = Hostile }], [0])] });
        using (var logger = new JsonLinesLogger(folder.Path))
        {
            await logger.OnStepAsync(report);
        }

        byte[] bytes = File.ReadAllBytes(folder["completions.jsonl"]);
        Assert.All(bytes[..^1], value => Assert.InRange(value, (byte)' ', (byte)'~')); // so it may be shown in a terminal as it is
        Assert.Equal((byte)'\n', bytes[^1]);
        JsonElement line = Assert.Single(Lines(folder["completions.jsonl"]));
        Assert.Equal(7, line.GetProperty("step").GetInt32());
        Assert.All(
            ["prompt_id", "prompt", "completion", "answer", "verdict"], name => Assert.Equal(Read, line.GetProperty(name).GetString()));
    }

    [Fact]
    public async Task OnStepAsync_leaves_whole_lines_behind_and_a_new_logger_appends()
    {
        using var folder = new TemporaryFolder();
        using (var first = new JsonLinesLogger(folder.Path))
        {
            // The step is done: also a run that is being canceled records it, and before it is disposed.
            await first.OnStepAsync(StepMetricsTests.FullReport(), new CancellationToken(canceled: true));
            using var reader = new StreamReader(
                new FileStream(folder["metrics.jsonl"], FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
            Assert.EndsWith("}\n", (await reader.ReadToEndAsync()).ReplaceLineEndings("\n"), StringComparison.Ordinal);
        }

        using (var second = new JsonLinesLogger(folder.Path))
        {
            await second.OnStepAsync(StepMetricsTests.FullReport(8));
        }

        Assert.Equal([7, 8], Lines(folder["metrics.jsonl"]).Select(line => line.GetProperty("step").GetInt32()));
    }

    [Theory]
    [InlineData(8, true, new[] { 7, 8 })]
    [InlineData(8, false, new[] { 7, 8 })]
    [InlineData(0, true, new int[0])]
    [InlineData(99, true, new[] { 7, 8, 9, 10 })]
    public async Task OnStartAsync_drops_the_steps_after_the_checkpoint_that_a_run_resumes_from(long firstStep, bool resumes, int[] left)
    {
        using var folder = new TemporaryFolder();
        using (var first = new JsonLinesLogger(folder.Path))
        {
            foreach (int step in new[] { 7, 8, 9, 10 })
            {
                await first.OnStepAsync(StepMetricsTests.FullReport(step));
            }
        }

        string[] lines = File.ReadAllLines(folder["metrics.jsonl"]);
        File.AppendAllText(folder["metrics.jsonl"], "{\"step\":7,\"rew"); // the process died here
        using (var second = new JsonLinesLogger(folder.Path))
        {
            await second.OnStartAsync(new TrainingStart(firstStep, 20, Toy.Options) { Resumes = resumes });
            await second.OnStepAsync(StepMetricsTests.FullReport(11));
        }

        Assert.Equal([.. left, 11], Lines(folder["metrics.jsonl"]).Select(line => line.GetProperty("step").GetInt32()));
        Assert.Equal(lines[..left.Length], File.ReadAllLines(folder["metrics.jsonl"])[..^1]);
        Assert.Equal(2 * (left.Length + 1), Lines(folder["completions.jsonl"]).Length);
        Assert.Equal(
            ["completions.jsonl", "metrics.jsonl"], Directory.GetFiles(folder.Path).Select(Path.GetFileName).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task OnStartAsync_leaves_the_files_of_another_run_and_the_lines_of_others_alone()
    {
        using var folder = new TemporaryFolder();
        const string text = "{\"step\":7}\n{\"note\":\"✓\"}\nno json\n";
        File.WriteAllText(folder["metrics.jsonl"], text + "{\"step\":8}\n");
        using (var logger = new JsonLinesLogger(folder.Path))
        {
            await logger.OnStartAsync(new TrainingStart(0, 20, Toy.Options));
        }

        Assert.Equal(text + "{\"step\":8}\n", File.ReadAllText(folder["metrics.jsonl"]));
        using (var logger = new JsonLinesLogger(folder.Path))
        {
            await logger.OnStartAsync(new TrainingStart(7, 20, Toy.Options));
        }

        Assert.Equal(text, File.ReadAllText(folder["metrics.jsonl"]));
    }

    [Fact]
    public async Task OnStartAsync_says_which_folder_cannot_be_written()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["file"], "");
        using var logger = new JsonLinesLogger(folder["file"]);
        var exception = await Assert.ThrowsAsync<IOException>(() => logger.OnStartAsync(new TrainingStart(0, 9, Toy.Options)).AsTask());
        Assert.StartsWith($"The output folder '{folder["file"]}' cannot be written:", exception.Message, StringComparison.Ordinal);
        Assert.EndsWith("Choose another folder.", exception.Message, StringComparison.Ordinal);
    }

    private static JsonElement[] Lines(string path) =>
        [.. File.ReadAllLines(path).Select(line =>
        {
            using JsonDocument document = JsonDocument.Parse(line);
            return document.RootElement.Clone();
        })];
}

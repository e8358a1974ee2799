using Grpo.Callbacks;
using Grpo.Checkpoints;
using Grpo.IO;
using Grpo.Testing;
using Grpo.Training;

namespace Grpo.Core.Tests.Callbacks;

/// <summary>Logs that have lost lines, and files that vanish under a run, are said.</summary>
public sealed class LostLinesTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly ListLogger<GrpoTrainer> _log = new();

    public void Dispose() => _folder.Dispose();

    // What has happened to a file of a run of six steps with twelve completions each, and the lines that are left of it.
    [Theory]
    [InlineData("metrics.jsonl", "removed", "has 0 of the 6 lines")]
    [InlineData("metrics.jsonl", "halved", "has 3 of the 6 lines")]
    [InlineData("metrics.jsonl", "emptied", "has 0 of the 6 lines")]
    [InlineData("metrics.jsonl", "cut in its last line", "has 5 of the 6 lines")]
    [InlineData("completions.jsonl", "removed", "has 0 of the 72 lines")]
    [InlineData("completions.jsonl", "halved", "has 36 of the 72 lines")]
    [InlineData("metrics.jsonl", "left alone", null)]
    public async Task OnStartAsync_says_that_lines_are_missing(string name, string what, string? expected)
    {
        await TrainAsync(steps: 6);
        string path = _folder[$"run/{name}"];
        string[] lines = File.ReadAllLines(path);
        switch (what)
        {
            case "removed":
                File.Delete(path);
                break;
            case "halved":
                File.WriteAllLines(path, lines[..(lines.Length / 2)]);
                break;
            case "emptied":
                File.WriteAllText(path, "");
                break;
            case "cut in its last line":
                File.WriteAllText(path, File.ReadAllText(path)[..^5]);
                break;
        }

        _log.Entries.Clear();
        await TrainAsync(steps: 8);
        string[] said = [.. _log.Entries.Where(entry => entry.Id == 54).Select(entry => entry.Text)];
        if (expected is null)
        {
            Assert.Empty(said);
        }
        else
        {
            string start = $"'{path}' {expected} that the checkpoint '{_folder["checkpoints/checkpoint-000006"]}' counts.";
            Assert.StartsWith(start, Assert.Single(said), StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("removed", "was there when the run began and is gone. Put the disk or the folder back, and run it again.")]
    [InlineData("moved", "was there when the run began and is gone. Put the disk or the folder back, and run it again.")]
    [InlineData("emptied", "something else has changed it.")]
    public async Task OnStepAsync_says_that_its_folder_or_file_is_not_what_it_was(string what, string expected)
    {
        using var logger = new JsonLinesLogger(_folder["run"]);
        await logger.OnStepAsync(StepMetricsTests.FullReport());
        switch (what)
        {
            case "removed":
                Directory.Delete(_folder["run"], recursive: true);
                break;
            case "moved":
                Directory.Move(_folder["run"], _folder["elsewhere"]);
                break;
            default:
                using (var file = new FileStream(_folder["run/metrics.jsonl"], FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
                {
                    file.SetLength(0);
                }

                break;
        }

        TrainingStep next = StepMetricsTests.FullReport(8);
        IOException problem = await Assert.ThrowsAsync<IOException>(() => logger.OnStepAsync(next).AsTask());
        string start = $"The output folder '{_folder["run"]}' cannot be written: '{Path.Combine(_folder["run"], "metrics.jsonl")}' ";
        Assert.StartsWith(start, problem.Message, StringComparison.Ordinal);
        Assert.Contains(expected, problem.Message, StringComparison.Ordinal);
        Assert.Equal(what == "emptied", Directory.Exists(_folder["run"]));
    }

    [Fact]
    public async Task OnStepAsync_of_tensorboard_says_that_its_folder_is_gone()
    {
        using var logger = new TensorBoardLogger(_folder["board"]);
        await logger.OnStepAsync(StepMetricsTests.FullReport());
        Directory.Delete(_folder["board"], recursive: true);
        IOException problem = await Assert.ThrowsAsync<IOException>(() => logger.OnStepAsync(StepMetricsTests.FullReport()).AsTask());
        Assert.StartsWith($"The TensorBoard folder '{_folder["board"]}' cannot be written: ", problem.Message, StringComparison.Ordinal);
        Assert.EndsWith("is gone. Put the disk or the folder back, and run it again.", problem.Message, StringComparison.Ordinal);
        Assert.False(Directory.Exists(_folder["board"]));
    }

    // The file that cannot be written any more; the step has one line of metrics and two of completions.
    [Theory]
    [InlineData("metrics.jsonl")]
    [InlineData("completions.jsonl")]
    public async Task OnStepAsync_counts_all_lines_of_a_step_that_fails(string name)
    {
        using var logger = new JsonLinesLogger(_folder["run"]);
        await logger.OnStepAsync(StepMetricsTests.FullReport());
        using (var file = new FileStream(_folder[$"run/{name}"], FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
        {
            file.SetLength(0);
        }

        await Assert.ThrowsAsync<IOException>(() => logger.OnStepAsync(StepMetricsTests.FullReport(8)).AsTask());
        ((ICheckpointedCallback)logger)
            .Save(_folder.Path, new TrainingSummary { Steps = 2, CompletionTokens = 1, Elapsed = TimeSpan.Zero });
        Assert.Equal(new LogCounts(Metrics: 2, Completions: 4), LogCounts.Read(_folder.Path));
    }

    [Fact]
    public async Task OnStartAsync_counts_from_0_when_one_logger_begins_another_run()
    {
        using var logger = new JsonLinesLogger(_folder["run"]);
        for (int run = 0; run < 2; run++)
        {
            await logger.OnStartAsync(new TrainingStart(0, 9, Toy.Options));
            await logger.OnStepAsync(StepMetricsTests.FullReport());
        }

        var summary = new TrainingSummary { Steps = 1, CompletionTokens = 1, Elapsed = TimeSpan.Zero };
        ((ICheckpointedCallback)logger).Save(_folder.Path, summary);
        Assert.Equal(new LogCounts(Metrics: 1, Completions: 2), LogCounts.Read(_folder.Path));
    }

    // A logger that was added to a run later has seen fewer steps, and nothing is lost of its file.
    [Fact]
    public void Write_keeps_the_smaller_counts_of_two_loggers()
    {
        new LogCounts(Metrics: 6, Completions: 72).Write(_folder.Path);
        new LogCounts(Metrics: 4, Completions: 80).Write(_folder.Path);
        Assert.Equal(new LogCounts(Metrics: 4, Completions: 72), LogCounts.Read(_folder.Path));
    }

    // An older run of ten steps has left its logs in the folder. Resumed from step 6, the lines of its later steps are dropped.
    [Theory]
    [InlineData(10)]
    [InlineData(6)]
    [InlineData(3)]
    public async Task OnStartAsync_does_not_miss_the_lines_of_an_older_run(long older)
    {
        await TrainAsync(older, "older");
        await TrainAsync(steps: 6, "newer", resume: false);
        await TrainAsync(steps: 8, "newer");
        Assert.DoesNotContain(_log.Entries, entry => entry.Id == 54);
        File.Delete(_folder["run/metrics.jsonl"]);
        await TrainAsync(steps: 9, "newer");
        Assert.Contains("has 0 of the ", Assert.Single(_log.Entries, entry => entry.Id == 54).Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Loggers_write_nothing_before_the_run_starts()
    {
        using var files = new JsonLinesLogger(_folder["run"]);
        using var board = new TensorBoardLogger(_folder["board"]);
        Assert.Empty(Directory.GetFileSystemEntries(_folder.Path));

        var start = new TrainingStart(0, 9, Toy.Options);
        await files.OnStartAsync(start);
        await board.OnStartAsync(start);
        Assert.Equal(2, Directory.GetFiles(_folder["run"], "*.jsonl").Length);
        Assert.Single(Directory.GetFiles(_folder["board"]));
    }

    private async Task TrainAsync(long steps, string checkpoints = "checkpoints", bool resume = true)
    {
        using BigramPolicy policy = Toy.Policy();
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        using var files = new JsonLinesLogger(_folder["run"]);
        var services = new TrainerServices { Checkpoints = new DirectoryCheckpointStore(_folder[checkpoints]), Callbacks = [files] };
        await new GrpoTrainer(optimizer, Toy.Prompts, new TrainerOptions { Steps = steps, Resume = resume }, services, _log).TrainAsync();
    }
}

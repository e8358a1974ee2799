using Grpo.Diagnostics;
using Grpo.Testing;

namespace Grpo.Core.Tests.Diagnostics;

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

        StepReport next = StepMetricsTests.FullReport() with { Step = 8 };
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

    private async Task TrainAsync(long steps)
    {
        using BigramPolicy policy = Toy.Policy();
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        using var files = new JsonLinesLogger(_folder["run"]);
        var services = new TrainerServices { Checkpoints = new DirectoryCheckpointStore(_folder["checkpoints"]), Callbacks = [files] };
        await new GrpoTrainer(optimizer, Toy.Prompts, new TrainerOptions { Steps = steps, Resume = true }, services, _log).TrainAsync();
    }
}

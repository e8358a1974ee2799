using System.Diagnostics;
using Grpo.Callbacks;
using Grpo.Checkpoints;
using Grpo.Evaluation;
using Grpo.Testing;
using Grpo.Training;

namespace Grpo.Core.Tests.Checkpoints;

/// <summary>
/// The disk is full, read-only or gone in the middle of a run: a clear error, or the run goes on, and no earlier checkpoint is lost.
/// </summary>
public sealed class FullDiskTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly BigramPolicy _policy = Toy.Policy();
    private readonly List<string> _log = [];
    private string? _mounted;

    public void Dispose()
    {
        _policy.Dispose();
        if (_mounted is not null)
        {
            Assert.Equal(0, Run("umount", _mounted));
        }

        _folder.Dispose();
    }

    [RootFact]
    public async Task SaveAsync_reports_a_full_disk_and_leaves_the_earlier_checkpoints_alone()
    {
        var store = new DirectoryCheckpointStore(Mount());
        string first = await store.SaveAsync(1, folder => File.WriteAllBytes(Path.Combine(folder, "weights"), new byte[300_000]));

        var error = await Assert.ThrowsAsync<IOException>(async () => await store.SaveAsync(2, folder =>
        {
            File.WriteAllBytes(Path.Combine(folder, "small"), new byte[1000]);
            File.WriteAllBytes(Path.Combine(folder, "weights"), new byte[900_000]);
        }));

        Assert.StartsWith($"Cannot save checkpoints in '{_mounted}': No space left on device", error.Message, StringComparison.Ordinal);
        Assert.EndsWith("Make room on the disk, or keep fewer checkpoints.", error.Message, StringComparison.Ordinal);
        Assert.Equal([first], Directory.GetFileSystemEntries(_mounted!));
        Assert.Equal(first, await store.FindLatestAsync());
        Assert.Equal(Path.Combine(_mounted!, "checkpoint-000003"), await store.SaveAsync(
            3, folder => File.WriteAllText(Path.Combine(folder, "weights"), "fits")));
    }

    [RootTheory]
    [InlineData(CheckpointFailureAction.Stop)]
    [InlineData(CheckpointFailureAction.Continue)]
    public async Task TrainAsync_stops_or_goes_on_as_configured_when_the_disk_is_full(CheckpointFailureAction action)
    {
        string root = Mount();
        var callback = new Training.RecordingCallback(_log)
        {
            OnStep = (report, _) =>
            {
                if (report.Step == 3)
                {
                    Fill(root);
                }
                else if (report.Step == 6)
                {
                    File.Delete(Path.Combine(root, "filler"));
                }
            },
        };
        Task<TrainingSummary> run = TrainAsync(root, action, callback);

        if (action == CheckpointFailureAction.Stop)
        {
            Assert.EndsWith(
                "Make room on the disk, or keep fewer checkpoints.", (await Assert.ThrowsAsync<IOException>(() => run)).Message,
                StringComparison.Ordinal);
            Assert.Equal([1, 2, 3], callback.Reports.Select(report => report.Step));
            Assert.Equal(Path.Combine(root, "checkpoint-000002"), await new DirectoryCheckpointStore(root).FindLatestAsync());
        }
        else
        {
            await run;
            Assert.Equal([1, 2, 3, 4, 5, 6, 7], callback.Reports.Select(report => report.Step));
            Assert.Contains(
                "The checkpoint of step 3 was not written: Cannot save checkpoints in ", callback.Reports[3].Event,
                StringComparison.Ordinal);
            Assert.Contains(
                "The checkpoint of step 5 was not written: Cannot save checkpoints in ", callback.Reports[5].Event,
                StringComparison.Ordinal);
            Assert.Null(callback.Reports[6].Event);
            Assert.Equal(Path.Combine(root, "checkpoint-000007"), await new DirectoryCheckpointStore(root).FindLatestAsync());
        }

        Assert.DoesNotContain(
            Directory.GetFileSystemEntries(root), path => Path.GetFileName(path).StartsWith(".tmp-", StringComparison.Ordinal));
    }

    [RootFact]
    public async Task TrainAsync_fails_on_the_last_checkpoint_even_when_told_to_go_on()
    {
        string root = Mount();
        var callback = new Training.RecordingCallback(_log) { OnStep = (report, _) => Do(report.Step == 7, () => Fill(root)) };
        await Assert.ThrowsAsync<IOException>(() => TrainAsync(root, CheckpointFailureAction.Continue, callback));
        Assert.Equal(Path.Combine(root, "checkpoint-000006"), await new DirectoryCheckpointStore(root).FindLatestAsync());
    }

    [RootFact]
    public async Task TrainAsync_names_a_folder_that_has_become_read_only()
    {
        string root = _folder["disk"];
        var callback = new Training.RecordingCallback(_log) { OnStep = (report, _) => Do(report.Step == 3, () => Mount("ro")) };

        var error = await Assert.ThrowsAsync<IOException>(() => TrainAsync(root, CheckpointFailureAction.Stop, callback));

        Assert.StartsWith($"Cannot save checkpoints in '{root}': ", error.Message, StringComparison.Ordinal);
        Assert.Contains("Read-only file system", error.Message, StringComparison.OrdinalIgnoreCase);
        Assert.EndsWith("Choose a folder that can be written to.", error.Message, StringComparison.Ordinal);
        Assert.Equal(0, Run("umount", root));
        _mounted = null;
        Assert.Equal(Path.Combine(root, "checkpoint-000002"), await new DirectoryCheckpointStore(root).FindLatestAsync());
    }

    [Fact]
    public async Task TrainAsync_names_a_folder_that_has_vanished_and_does_not_make_it_anew()
    {
        string root = _folder["run"];
        var callback = new Training.RecordingCallback(_log)
        {
            OnStep = (report, _) => Do(report.Step == 3, () => Directory.Delete(root, recursive: true)),
        };
        var error = await Assert.ThrowsAsync<IOException>(() => TrainAsync(root, CheckpointFailureAction.Stop, callback));
        Assert.Equal(
            $"Cannot save checkpoints in '{root}': The folder is gone. It was there when the run began; put the disk or the folder back.",
            error.Message);
        Assert.False(Directory.Exists(root));
    }

    [Fact]
    public async Task TrainAsync_names_a_folder_that_cannot_be_written_to_before_the_first_step()
    {
        File.WriteAllText(_folder["file"], "");
        var error = await Assert.ThrowsAsync<IOException>(
            () => TrainAsync(_folder["file"], CheckpointFailureAction.Continue, new Training.RecordingCallback(_log)));
        Assert.StartsWith($"Cannot save checkpoints in '{_folder["file"]}': ", error.Message, StringComparison.Ordinal);
        Assert.Empty(_log);
    }

    [RootFact]
    public async Task TrainAsync_that_fails_on_a_full_disk_tells_both_and_resumes()
    {
        string root = Mount();
        var callback = new Training.RecordingCallback(_log)
        {
            OnStep = (report, _) => Do(report.Step == 3, () =>
            {
                Fill(root);
                throw new InvalidOperationException("broken on purpose");
            }),
        };

        var failure = await Assert.ThrowsAsync<InvalidOperationException>(() => TrainAsync(root, CheckpointFailureAction.Stop, callback));

        Assert.Equal("broken on purpose", failure.Message);
        string told = "broken on purpose And the last checkpoint could not be written: Cannot save checkpoints in ";
        Assert.StartsWith(told, callback.Summary!.Failure, StringComparison.Ordinal);
        Assert.EndsWith("Make room on the disk, or keep fewer checkpoints.", callback.Summary.Failure, StringComparison.Ordinal);
        Assert.Equal(Path.Combine(root, "checkpoint-000002"), await new DirectoryCheckpointStore(root).FindLatestAsync());
        File.Delete(Path.Combine(root, "filler"));
        using BigramPolicy policy = Toy.Policy(), whole = Toy.Policy();
        await RunAsync(policy, new DirectoryCheckpointStore(root));
        await RunAsync(whole, null);
        Assert.Equal(whole.Weights(), policy.Weights());

        static async Task RunAsync(BigramPolicy policy, ICheckpointStore? store)
        {
            using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
            var options = new TrainerOptions { Steps = 7, Resume = true };
            await new GrpoTrainer(optimizer, Toy.Prompts, options, new TrainerServices { Checkpoints = store }).TrainAsync();
        }
    }

    [RootFact]
    public async Task OnStepAsync_counts_the_lines_that_a_full_disk_does_not_take()
    {
        string root = Mount();
        using var optimizer = new GrpoOptimizer(_policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        using var files = new Grpo.Callbacks.JsonLinesLogger(root);
        await files.OnStartAsync(new TrainingStart(0, 9, Toy.Options));
        StepReport step = await optimizer.StepAsync(Toy.Prompts);
        int completions = step.Groups.Sum(group => group.Rewards.Count);
        Fill(root);

        int steps = 0;
        await Assert.ThrowsAsync<IOException>(async () =>
        {
            while (steps < 40) // the last block of each file may have room for some more
            {
                steps++;
                await files.OnStepAsync(new TrainingStep(step with { Step = steps }));
            }
        });
        string folder = Directory.CreateDirectory(_folder["counts"]).FullName;
        ((ICheckpointedCallback)files).Save(folder, new TrainingSummary { Steps = 1, CompletionTokens = 1, Elapsed = TimeSpan.Zero });
        Assert.Equal(new Grpo.IO.LogCounts(steps, steps * completions), Grpo.IO.LogCounts.Read(folder));
    }

    // Everything else that a run writes says the same of a full disk.
    [RootTheory]
    [InlineData("metrics")]
    [InlineData("tensorboard")]
    [InlineData("flight")]
    [InlineData("report")]
    [InlineData("evaluation")]
    public async Task Whatever_is_written_says_that_a_full_disk_wants_space(string what)
    {
        string root = Mount();
        using var optimizer = new GrpoOptimizer(_policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        using var recorder = new FlightRecorder(Path.Combine(root, "flight"));
        using var files = new Grpo.Callbacks.JsonLinesLogger(Path.Combine(root, "files"));
        using var board = new Grpo.Callbacks.TensorBoardLogger(Path.Combine(root, "board"));
        var report = new Grpo.Callbacks.HtmlReport(Path.Combine(root, "report.html"));
        var start = new TrainingStart(0, 9, Toy.Options);
        await recorder.OnStartAsync(start);
        await report.OnStartAsync(start);
        await files.OnStartAsync(start);
        await board.OnStartAsync(start);
        StepReport step = await optimizer.StepAsync(Toy.Prompts);
        Fill(root);

        IOException problem = await Assert.ThrowsAsync<IOException>(async () =>
        {
            for (int i = 0; i < 40; i++) // the last block of each file may have room for some more
            {
                switch (what)
                {
                    case "metrics":
                        await files.OnStepAsync(new TrainingStep(step with { Step = i + 1 }));
                        break;
                    case "tensorboard":
                        await board.OnStepAsync(new TrainingStep(step with { Step = i + 1 }));
                        break;
                    case "flight":
                        await recorder.OnStepAsync(await Toy.RecordedStepAsync(optimizer, recorder));
                        break;
                    case "report":
                        await report.OnEndAsync(new TrainingSummary { Steps = 1, CompletionTokens = 1, Elapsed = TimeSpan.Zero });
                        break;
                    default:
                        EvaluationFile.Write(Path.Combine(root, "evaluation.json"), new EvaluationReport { Count = 1 });
                        break;
                }
            }
        });
        Assert.Contains("No space left on device", problem.Message, StringComparison.Ordinal);
        Assert.EndsWith(
            "The disk is full, or your share of it: free some space there and run it again.", problem.Message, StringComparison.Ordinal);
    }

    private static void Do(bool condition, Action action)
    {
        if (condition)
        {
            action();
        }
    }

    private static void Fill(string root)
    {
        using FileStream filler = File.Create(Path.Combine(root, "filler"), bufferSize: 0);
        try
        {
            for (var block = new byte[4096]; ;)
            {
                filler.Write(block);
            }
        }
        catch (IOException)
        {
            // As intended: not a byte is left.
        }
    }

    private static int Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(program, arguments);
        process.WaitForExit();
        return process.ExitCode;
    }

    private string Mount(string access = "rw")
    {
        string root = Directory.CreateDirectory(_folder["disk"]).FullName;
        Assert.Equal(0, Run("mount", "-t", "tmpfs", "-o", $"size=1m,{access}", "grpo-test", root));
        return _mounted = root;
    }

    private async Task<TrainingSummary> TrainAsync(string root, CheckpointFailureAction action, ITrainingCallback callback)
    {
        using var optimizer = new GrpoOptimizer(_policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        var options = new TrainerOptions { Steps = 7, CheckpointEvery = 1, OnCheckpointFailure = action };
        return await new GrpoTrainer(
            optimizer, Toy.Prompts, options,
            new TrainerServices { Checkpoints = new DirectoryCheckpointStore(root), Callbacks = [callback] }).TrainAsync();
    }
}

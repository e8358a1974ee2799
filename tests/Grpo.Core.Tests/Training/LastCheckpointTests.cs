using Grpo.Checkpoints;
using Grpo.Testing;
using Microsoft.Extensions.Logging;

namespace Grpo.Core.Tests.Training;

/// <summary>Whatever ends a run, the checkpoint of its last whole step is there, and the run goes on from it to the same bits.</summary>
public sealed class LastCheckpointTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    // What throws, after how many whole steps; the step of the checkpoint that is left.
    [Theory]
    [InlineData("reward", 2, 2)]
    [InlineData("sampler", 2, 2)]
    [InlineData("reference", 2, 2)]
    [InlineData("policy", 2, 2)]
    [InlineData("policy", 0, -1)] // nothing had been learned
    [InlineData("evaluator", 3, 4)] // the step before it is done: the callbacks that tell `done` come after the evaluation
    [InlineData("OnStep", 3, 3)]
    [InlineData("OnEnd", 10, 10)]
    public async Task RunAsync_leaves_the_last_whole_step_when_a_part_throws(string place, long done, long expected)
    {
        await WholeAsync();
        string folder = _folder["ended"];
        using (var run = new EndedRun { At = (at, step) => ThrowIf(at == place && step == done) })
        {
            Exception failure = await Assert.ThrowsAnyAsync<Exception>(() => run.TrainAsync(folder));
            Assert.Contains("broken on purpose", failure.ToString(), StringComparison.Ordinal);
            Assert.NotNull(run.Callback.Summary);
            Assert.Contains(place == "OnEnd" ? "" : "broken on purpose", run.Callback.Summary.Failure ?? "", StringComparison.Ordinal);
        }

        Assert.Equal(expected, await EndedRun.LatestAsync(folder));
        await ResumesAsWholeAsync(folder);
    }

    [Fact]
    public async Task TrainAsync_does_not_write_a_checkpoint_again_whose_failure_ends_the_run()
    {
        using BigramPolicy policy = Toy.Policy();
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        List<string> log = [];
        int saves = 0;
        policy.OnSaved = () => throw new IOException($"the disk is gone, save {++saves}");
        var services = new TrainerServices { Checkpoints = new RecordingStore(log, _folder.Path) };
        var trainer = new GrpoTrainer(optimizer, Toy.Prompts, new TrainerOptions { Steps = 5, CheckpointEvery = 2 }, services);
        Assert.Equal("the disk is gone, save 1", (await Assert.ThrowsAsync<IOException>(() => trainer.TrainAsync())).Message);
        Assert.Equal(["save 2"], log);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task RunAsync_leaves_the_last_step_when_the_loop_is_left(bool byBreak)
    {
        await WholeAsync();
        string folder = _folder["left"];
        using (var run = new EndedRun())
        {
            Task loop = run.TrainAsync(folder, report =>
            {
                ThrowIf(report.Step == 3 && !byBreak);
                return report.Step < 3;
            });
            if (byBreak)
            {
                await loop;
            }
            else
            {
                Assert.Equal("broken on purpose", (await Assert.ThrowsAsync<InvalidOperationException>(() => loop)).Message);
            }

            Assert.Equal((3, true, null), (run.Callback.Summary!.Steps, run.Callback.Summary.Canceled, run.Callback.Summary.Failure));
            Assert.Equal(Path.Combine(folder, "checkpoint-000003"), run.Callback.Summary.Checkpoint);
        }

        Assert.Equal(3, await EndedRun.LatestAsync(folder));
        await ResumesAsWholeAsync(folder);
    }

    [Fact]
    public async Task Dispose_of_the_optimizer_in_the_loop_leaves_the_last_step()
    {
        using BigramPolicy policy = Toy.Policy();
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        var trainer = new GrpoTrainer(
            optimizer, Toy.Prompts, new TrainerOptions { Steps = 10 },
            new TrainerServices { Checkpoints = new DirectoryCheckpointStore(_folder.Path) });
        await Assert.ThrowsAsync<ObjectDisposedException>(async () =>
        {
            await foreach (TrainingStep report in trainer.RunAsync())
            {
                if (report.Step == 3)
                {
                    optimizer.Dispose(); // as a container does when its host shuts down
                }
            }
        });
        Assert.Equal(3, await EndedRun.LatestAsync(_folder.Path));
        Assert.Throws<ObjectDisposedException>(() => optimizer.Save(_folder.Path));
    }

    [Fact]
    public async Task RunAsync_leaves_the_last_step_when_an_owed_evaluation_cannot_be_told()
    {
        await WholeAsync();
        string folder = _folder["ended"];
        using (var first = new EndedRun { At = (at, step) => ThrowIf(at == "evaluator" && step == 3) })
        {
            await Assert.ThrowsAsync<InvalidOperationException>(() => first.TrainAsync(folder));
        }

        using (var second = new EndedRun { At = (at, _) => ThrowIf(at == "OnEvaluation") })
        {
            await Assert.ThrowsAsync<InvalidOperationException>(() => second.TrainAsync(folder));
        }

        Assert.Equal(4, await EndedRun.LatestAsync(folder));
        await ResumesAsWholeAsync(folder);
    }

    [Fact]
    public async Task RunAsync_tells_both_when_the_last_checkpoint_fails_as_well()
    {
        using var run = new EndedRun
        {
            At = (at, step) =>
            {
                ThrowIf(at == "reward" && step == 2);
                if (at == "store written")
                {
                    throw new IOException("the disk is gone");
                }
            },
        };

        RewardException failure = await Assert.ThrowsAsync<RewardException>(() => run.TrainAsync(_folder["ended"]));

        Assert.Contains("broken on purpose", failure.ToString(), StringComparison.Ordinal);
        Assert.StartsWith(failure.Message, run.Callback.Summary!.Failure, StringComparison.Ordinal);
        string second = " And the last checkpoint could not be written: Cannot save checkpoints in ";
        Assert.Contains(second, run.Callback.Summary.Failure, StringComparison.Ordinal);
        string logged = "The run ended early, and the checkpoint of step 2 could not be written.";
        Assert.Contains(run.Log.Entries, entry => entry.Id == 51 && entry.Text == logged);
    }

    [Fact]
    public async Task RunAsync_throws_when_the_loop_is_left_and_the_last_checkpoint_fails()
    {
        using var run = new EndedRun { At = (at, _) => ThrowIf(at == "store written") };
        var failure = await Assert.ThrowsAsync<InvalidOperationException>(() => run.TrainAsync(_folder["left"], _ => false));
        Assert.Equal("broken on purpose", failure.Message);
        Assert.Equal("broken on purpose", run.Callback.Summary!.Failure);
    }

    // The second of two updates fails: weights and moments are those of no whole step, so the checkpoint of step 2 stays the last one.
    [Fact]
    public async Task RunAsync_keeps_the_checkpoint_before_when_a_step_fails_half_way()
    {
        GrpoOptions options = Toy.Options with { UpdatesPerRollout = 2, MicroBatchSize = 100 };
        TrainerOptions trainer = new() { Steps = EndedRun.Steps, CheckpointEvery = 2, Resume = true };
        using (var whole = new EndedRun { Grpo = options, Options = trainer })
        {
            await whole.TrainAsync(_folder["whole"]);
        }

        string folder = _folder["ended"];
        int calls = 0;
        void At(string at, long step) => ThrowIf(at == "policy" && step == 3 && ++calls == 2);
        using (var run = new EndedRun { Grpo = options, Options = trainer, At = At })
        {
            await Assert.ThrowsAsync<InvalidOperationException>(() => run.TrainAsync(folder));
            Assert.Contains(run.Log.Entries, entry => entry.Id == 52);
        }

        Assert.Equal(2, await EndedRun.LatestAsync(folder));
        using var rest = new EndedRun { Grpo = options, Options = trainer };
        await rest.TrainAsync(folder);
        Assert.Equal(EndedRun.Describe(_folder["whole"]), EndedRun.Describe(folder));
    }

    [Fact]
    public async Task Save_and_the_next_step_are_refused_when_a_step_failed_half_way()
    {
        using BigramPolicy policy = Toy.Policy();
        GrpoOptions options = Toy.Options with { UpdatesPerRollout = 2, MicroBatchSize = 100 };
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), options);
        optimizer.Save(Directory.CreateDirectory(_folder["before"]).FullName);
        int calls = 0;
        policy.OnLogProbs = () => ThrowIf(++calls == 2);
        await Assert.ThrowsAsync<InvalidOperationException>(() => optimizer.StepAsync(Toy.Prompts));

        string expected = "Step 1 failed after some of its updates were applied, so weights and moments are those of no whole step. "
            + "Load a checkpoint into the optimizer, or make policy and optimizer anew.";
        Assert.Equal(expected, Assert.Throws<InvalidOperationException>(() => optimizer.Save(_folder["after"])).Message);
        Assert.Equal(expected, (await Assert.ThrowsAsync<InvalidOperationException>(() => optimizer.StepAsync(Toy.Prompts))).Message);
        Assert.Equal(expected, (await Assert.ThrowsAsync<InvalidOperationException>(
            () => new GrpoTrainer(optimizer, Toy.Prompts, new TrainerOptions { Steps = 2 }).TrainAsync())).Message);
        optimizer.Load(_folder["before"]);
        Assert.Equal(1, (await optimizer.StepAsync(Toy.Prompts)).Step);
    }

    // A log that throws after the update: the step is done, and nobody knows what it did. A checkpoint would lose its records.
    [Fact]
    public async Task RunAsync_keeps_the_checkpoint_before_when_the_records_of_a_step_are_lost()
    {
        await WholeAsync();
        string folder = _folder["ended"];
        var options = new TrainerOptions { Steps = EndedRun.Steps, EvaluateEvery = 2, CheckpointEvery = 2, Resume = true };
        using (var run = new EndedRun { Options = options, OptimizerLog = new ThrowingLog("Step 5") })
        {
            await Assert.ThrowsAsync<InvalidOperationException>(() => run.TrainAsync(folder));
        }

        Assert.Equal(4, await EndedRun.LatestAsync(folder));
        await ResumesAsWholeAsync(folder);
    }

    [Fact]
    public async Task RunAsync_writes_nothing_when_the_policy_has_diverged()
    {
        using var run = new EndedRun();
        await Assert.ThrowsAsync<TrainingDivergedException>(() => run.TrainAsync(_folder["ended"], report =>
        {
            if (report.Step == 3)
            {
                run.Poison();
            }

            return true;
        }));
        Assert.Equal(-1, await EndedRun.LatestAsync(_folder["ended"]));
        Assert.EndsWith("the policy has diverged.", Assert.Single(run.Log.Entries, entry => entry.Id == 52).Text, StringComparison.Ordinal);
    }

    private static void ThrowIf(bool condition)
    {
        if (condition)
        {
            throw new InvalidOperationException("broken on purpose");
        }
    }

    private async Task WholeAsync()
    {
        using var whole = new EndedRun();
        await whole.TrainAsync(_folder["whole"]);
    }

    private async Task ResumesAsWholeAsync(string folder)
    {
        using var rest = new EndedRun();
        await rest.TrainAsync(folder);
        Assert.Equal(EndedRun.Describe(_folder["whole"]), EndedRun.Describe(folder));
    }

    private sealed class ThrowingLog(string at) : ILogger<GrpoOptimizer>
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception,
            Func<TState, Exception?, string> formatter) => ThrowIf(formatter(state, exception).StartsWith(at, StringComparison.Ordinal));
    }
}

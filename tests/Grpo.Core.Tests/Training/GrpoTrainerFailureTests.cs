using Grpo.Checkpoints;
using Grpo.Testing;
using Grpo.Training;

namespace Grpo.Core.Tests.Training;

/// <summary>Whatever ends a run, the callbacks that it began with hear of it, and the first failure surfaces.</summary>
public sealed class GrpoTrainerFailureTests : IDisposable
{
    private readonly BigramPolicy _policy = Toy.Policy();
    private readonly List<string> _log = [];
    private readonly ListLogger<GrpoTrainer> _logger = new();

    [Fact]
    public async Task TrainAsync_tells_the_callbacks_why_it_failed()
    {
        var callback = new RecordingCallback(_log);
        int calls = 0;
        _policy.OnLogProbs = () =>
        {
            if (++calls > 2)
            {
                throw new InvalidOperationException("out of memory");
            }
        };
        Assert.Equal("out of memory", (await Assert.ThrowsAsync<InvalidOperationException>(() => TrainAsync(callback))).Message);
        Assert.Equal(["start 0 to 9", "step 1", "step 2", "end 2"], _log);
        Assert.Equal(("out of memory", false), (callback.Summary!.Failure, callback.Summary.Canceled));
    }

    [Fact]
    public async Task TrainAsync_surfaces_the_failure_of_a_callback_and_tells_the_others()
    {
        var first = new RecordingCallback(_log, "a ") { OnStep = (_, _) => throw new IOException("disk full") };
        var second = new RecordingCallback(_log, "b ");
        Assert.Equal("disk full", (await Assert.ThrowsAsync<IOException>(() => TrainAsync(first, second))).Message);
        Assert.Equal(["a start 0 to 9", "b start 0 to 9", "a step 1", "b step 1", "a end 1", "b end 1"], _log);
        Assert.Equal("disk full", second.Summary!.Failure);
    }

    [Fact]
    public async Task TrainAsync_ends_only_the_callbacks_that_it_started()
    {
        var failing = new FailingCallback { AtStart = new IOException("no folder") };
        Assert.Equal("no folder", (await Assert.ThrowsAsync<IOException>(
            () => TrainAsync(new RecordingCallback(_log, "a "), failing, new RecordingCallback(_log, "c ")))).Message);
        Assert.Equal(["a start 0 to 9", "a end 0"], _log);
        Assert.Equal(1, failing.Ends);
    }

    [Fact]
    public async Task TrainAsync_logs_a_callback_that_fails_at_the_end_of_a_failed_run()
    {
        _policy.OnLogProbs = () => throw new InvalidOperationException("out of memory");
        var last = new RecordingCallback(_log);
        await Assert.ThrowsAsync<InvalidOperationException>(
            () => TrainAsync(new FailingCallback { AtEnd = new IOException("disk full") }, last));
        Assert.Equal("out of memory", last.Summary!.Failure);
        Assert.Contains(
            _logger.Entries,
            entry => entry is { Id: 37, Text: "The callback FailingCallback failed at the end of a run that did not end in order." });
    }

    [Fact]
    public async Task TrainAsync_surfaces_a_callback_that_fails_at_the_end_after_telling_the_others()
    {
        var last = new RecordingCallback(_log);
        Assert.Equal("disk full", (await Assert.ThrowsAsync<IOException>(
            () => TrainAsync(new FailingCallback { AtEnd = new IOException("disk full") }, last))).Message);
        Assert.Equal((9, null), (last.Summary!.Steps, last.Summary.Failure));
    }

    [Fact]
    public async Task TrainAsync_says_when_the_last_checkpoint_of_a_canceled_run_cannot_be_written()
    {
        using var source = new CancellationTokenSource();
        using var folder = new TemporaryFolder();
        var callback = new RecordingCallback(_log)
        {
            OnStep = (_, _) =>
            {
                Directory.Delete(folder["run"], recursive: true);
                source.Cancel();
            },
        };
        var services = new TrainerServices { Checkpoints = new DirectoryCheckpointStore(folder["run"]), Callbacks = [callback] };
        using var optimizer = new GrpoOptimizer(_policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        await Assert.ThrowsAsync<IOException>(
            () => new GrpoTrainer(optimizer, Toy.Prompts, new TrainerOptions { Steps = 9 }, services).TrainAsync(source.Token));
        Assert.True(callback.Summary!.Canceled);
        Assert.StartsWith("Cannot save checkpoints in", callback.Summary.Failure, StringComparison.Ordinal);
    }

    public void Dispose() => _policy.Dispose();

    private async Task TrainAsync(params ITrainingCallback[] callbacks)
    {
        using var optimizer = new GrpoOptimizer(_policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options with { MicroBatchSize = 100 });
        await new GrpoTrainer(
            optimizer, Toy.Prompts, new TrainerOptions { Steps = 9 }, new TrainerServices { Callbacks = callbacks }, _logger).TrainAsync();
    }

    private sealed class FailingCallback : ITrainingCallback
    {
        public Exception? AtStart { get; init; }

        public Exception? AtEnd { get; init; }

        public int Ends { get; private set; }

        public ValueTask OnStartAsync(TrainingStart start, CancellationToken cancellationToken = default) => Throw(AtStart);

        public ValueTask OnEndAsync(TrainingSummary summary)
        {
            Ends++;
            return Throw(AtEnd);
        }

        private static ValueTask Throw(Exception? exception) => exception is null
            ? ValueTask.CompletedTask
            : ValueTask.FromException(exception);
    }
}

using Grpo.Checkpoints;
using Grpo.Testing;
using Grpo.Training;

namespace Grpo.Core.Tests.Training;

/// <summary>Checkpoints by steps and by time: whichever comes first, and neither changes a number.</summary>
public sealed class CheckpointIntervalTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly List<string> _log = [];
    private readonly ManualClock _clock = new();

    public void Dispose() => _folder.Dispose();

    // Minutes that a step takes, steps and minutes between checkpoints, and the steps that have one.
    [Theory]
    [InlineData(4, 0, 10, "3 6 9 10")]   // 12 minutes have passed after the third step
    [InlineData(4, 0, 0, "10")]          // neither: only the last
    [InlineData(4, 2, 0, "2 4 6 8 10")]
    [InlineData(4, 5, 10, "3 5 8 10")]   // whichever comes first; the time starts again at each
    [InlineData(10, 0, 10, "1 2 3 4 5 6 7 8 9 10")] // the limit itself counts
    [InlineData(0, 0, 10, "10")]
    public async Task TrainAsync_saves_by_steps_or_by_time(int minutes, int every, int interval, string expected)
    {
        var time = TimeSpan.FromMinutes(interval);
        await TrainAsync(new TrainerOptions { Steps = 10, CheckpointEvery = every, CheckpointInterval = time }, minutes);
        Assert.Equal(expected.Split(' ').Select(step => $"save {step}"), _log);
    }

    [Fact]
    public async Task TrainAsync_saves_every_50_steps_unless_told_otherwise()
    {
        Assert.Equal((50, TimeSpan.FromMinutes(10)), (new TrainerOptions().CheckpointEvery, new TrainerOptions().CheckpointInterval));
        await TrainAsync(new TrainerOptions { Steps = 110 }, minutes: 0);
        Assert.Equal(["save 50", "save 100", "save 110"], _log);
    }

    [Theory]
    [InlineData(4, 0, 10, "3 6 9")]
    [InlineData(4, 4, 10, "3 4 7 8 9")]
    [InlineData(4, 0, 0, "9")]
    public async Task RunAsync_of_supervised_training_saves_by_steps_or_by_time(int minutes, int every, int interval, string expected)
    {
        using BigramPolicy policy = Toy.Policy();
        var options = new SupervisedOptions
        {
            Steps = 9,
            BatchSize = 2,
            LearningRate = 0.1,
            CheckpointEvery = every,
            CheckpointInterval = TimeSpan.FromMinutes(interval),
        };
        var services = new SupervisedServices { Checkpoints = new RecordingStore(_log, _folder.Path), Clock = _clock };
        policy.OnLogProbs = () => _clock.Add(TimeSpan.FromMinutes(minutes)); // one pass a step
        SupervisedExample[] examples = [new(Prompt.Create("a", "b"), "c"), new(Prompt.Create("d", "e"), "f")];
        var trainer = new SupervisedTrainer(
            policy, SupervisedTrainerTests.Data(examples), options, services);
        await foreach (SupervisedReport _ in trainer.RunAsync())
        {
            // The log tells.
        }

        Assert.Equal(expected.Split(' ').Select(step => $"save {step}"), _log);
    }

    [Theory]
    [InlineData("TrainerOptions")]
    [InlineData("SupervisedOptions")]
    public void A_negative_interval_is_refused(string which)
    {
        using BigramPolicy policy = Toy.Policy();
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        var minus = TimeSpan.FromSeconds(-1);
        SupervisedExample[] examples = [new(Prompt.Create("a", "b"), "c")];
        var options = new SupervisedOptions { CheckpointInterval = minus };
        ArgumentException error = Assert.Throws<ArgumentException>(() => which == "TrainerOptions"
            ? (object)new GrpoTrainer(optimizer, Toy.Prompts, new TrainerOptions { CheckpointInterval = minus })
            : new SupervisedTrainer(policy, new SupervisedData(examples, Toy.Tokenizer, new PlainTemplate()), options));
        Assert.Contains("CheckpointInterval is -00:00:01 but must be 0 or more.", error.Message, StringComparison.Ordinal);
    }

    // Of steps of four minutes with saves of twelve, where ten minutes are to lie between two: after steps 3, 6 and 9.
    [Theory]
    [InlineData(false, "3 6 9 10")]
    [InlineData(true, "3 6 9")] // a failed save counts too; the last one, which may not fail, is of no interest here
    public async Task TrainAsync_counts_the_time_from_the_end_of_a_save(bool fails, string expected)
    {
        var options = new TrainerOptions
        {
            Steps = 10,
            CheckpointEvery = 0,
            CheckpointInterval = TimeSpan.FromMinutes(10),
            OnCheckpointFailure = CheckpointFailureAction.Continue,
        };
        var store = new SlowStore(new RecordingStore(_log, _folder.Path), step =>
        {
            _clock.Add(TimeSpan.FromMinutes(12));
            if (fails && step < 10)
            {
                _log.Add($"save {step}");
                throw new IOException("full on purpose");
            }
        });
        await TrainAsync(options, minutes: 4, store);
        Assert.Equal(expected.Split(' ').Select(step => $"save {step}"), _log.Where(entry => !fails || entry != "save 10"));
    }

    private async Task TrainAsync(TrainerOptions options, int minutes, ICheckpointStore? store = null)
    {
        using BigramPolicy policy = Toy.Policy();
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        var services = new TrainerServices
        {
            Checkpoints = store ?? new RecordingStore(_log, _folder.Path),
            Callbacks = [new RecordingCallback([]) { OnStep = (_, _) => _clock.Add(TimeSpan.FromMinutes(minutes)) }],
            Clock = _clock,
        };
        await new GrpoTrainer(optimizer, Toy.Prompts, options, services).TrainAsync();
    }

    private sealed class SlowStore(ICheckpointStore inner, Action<long> onSave) : ICheckpointStore
    {
        public ValueTask<string> SaveAsync(long step, Action<string> write, CancellationToken cancellationToken = default)
        {
            onSave(step);
            return inner.SaveAsync(step, write, cancellationToken);
        }

        public ValueTask<string?> FindLatestAsync(CancellationToken cancellationToken = default) =>
            inner.FindLatestAsync(cancellationToken);

        public ValueTask<string?> MarkBestAsync(long step, CancellationToken cancellationToken = default) =>
            inner.MarkBestAsync(step, cancellationToken);

        public ValueTask<string?> FindBestAsync(CancellationToken cancellationToken = default) => inner.FindBestAsync(cancellationToken);
    }

    private sealed class ManualClock : TimeProvider
    {
        private long _ticks;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public void Add(TimeSpan time) => _ticks += time.Ticks;

        public override long GetTimestamp() => _ticks;
    }
}

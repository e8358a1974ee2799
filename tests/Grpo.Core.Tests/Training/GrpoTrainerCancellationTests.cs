using Grpo.Evaluation;
using Grpo.Testing;

namespace Grpo.Core.Tests.Training;

/// <summary>A canceled run writes a checkpoint, tells the callbacks, and surfaces as an OperationCanceledException.</summary>
public sealed class GrpoTrainerCancellationTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly BigramPolicy _policy = Toy.Policy();
    private readonly CancellationTokenSource _source = new();
    private readonly List<string> _log = [];

    [Fact]
    public async Task TrainAsync_saves_what_was_learned_when_canceled_during_a_step()
    {
        RecordingCallback callback = new(_log) { OnStep = (report, _) => _policy.OnAdvance = report.Step == 2 ? _source.Cancel : null };
        await Canceled(callback);
        Assert.Equal(["start 0 to 9", "step 1", "step 2", "save 2", "end 2 canceled"], _log);
        Assert.Equal(_folder["00002"], callback.Summary!.Checkpoint);

        using BigramPolicy saved = Toy.Policy(seed: 99);
        saved.Load(_folder["00002"]);
        Assert.Equal(saved.Weights(), _policy.Weights());
    }

    [Fact]
    public async Task TrainAsync_ends_early_when_a_callback_cancels()
    {
        await Canceled(new RecordingCallback(_log) { OnStep = (report, _) => CancelAt(report, 3) });
        Assert.Equal(["start 0 to 9", "step 1", "step 2", "step 3", "save 3", "end 3 canceled"], _log);
    }

    [Fact]
    public async Task TrainAsync_saves_also_when_a_callback_throws_because_of_the_token()
    {
        await Canceled(new RecordingCallback(_log)
        {
            OnStep = (report, token) =>
            {
                CancelAt(report, 2);
                token.ThrowIfCancellationRequested(); // as a sink does that passes the token on
            },
        });
        Assert.Equal(["start 0 to 9", "step 1", "step 2", "save 2", "end 2 canceled"], _log);
    }

    [Fact]
    public async Task TrainAsync_saves_when_canceled_during_an_evaluation()
    {
        await Canceled(
            new RecordingCallback(_log), new TrainerOptions { Steps = 9, EvaluateEvery = 2 },
            new RecordingEvaluator(_log, call =>
            {
                if (call == 2)
                {
                    _source.Cancel();
                }
            }));
        Assert.Equal(["start 0 to 9", "evaluate", "step 1", "step 2", "save 2", "end 2 canceled"], _log);
    }

    [Fact]
    public async Task TrainAsync_saves_nothing_when_canceled_before_the_first_step()
    {
        await _source.CancelAsync();
        var callback = new RecordingCallback(_log);
        await Canceled(callback);
        Assert.Equal(["start 0 to 9", "end 0 canceled"], _log);
        Assert.Null(callback.Summary!.Checkpoint);
    }

    [Fact]
    public async Task RunAsync_heeds_the_token_of_the_enumeration()
    {
        using var optimizer = Optimizer();
        var trainer = new GrpoTrainer(optimizer, Toy.Prompts, new TrainerOptions { Steps = 9 });
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (TrainingStep report in trainer.RunAsync().WithCancellation(_source.Token))
            {
                CancelAt(report, 2);
            }
        });
        Assert.Equal(2, optimizer.Step);
    }

    [Fact]
    public async Task TrainAsync_lets_other_failures_through()
    {
        _policy.OnLogProbs = () => throw new InvalidOperationException("out of memory");
        using var optimizer = Optimizer();
        var trainer = new GrpoTrainer(optimizer, Toy.Prompts, new TrainerOptions { Steps = 9 });
        Assert.Equal("out of memory", (await Assert.ThrowsAsync<InvalidOperationException>(() => trainer.TrainAsync())).Message);
    }

    public void Dispose()
    {
        _policy.Dispose();
        _folder.Dispose();
        _source.Dispose();
    }

    private void CancelAt(TrainingStep report, long step)
    {
        if (report.Step == step)
        {
            _source.Cancel();
        }
    }

    private GrpoOptimizer Optimizer() => new(_policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);

    private async Task Canceled(RecordingCallback callback, TrainerOptions? options = null, IEvaluator? evaluator = null)
    {
        using var optimizer = Optimizer();
        var services =
            new TrainerServices { Evaluator = evaluator, Checkpoints = new RecordingStore(_log, _folder.Path), Callbacks = [callback] };
        var trainer = new GrpoTrainer(optimizer, Toy.Prompts, options ?? new TrainerOptions { Steps = 9 }, services);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => trainer.TrainAsync(_source.Token));
    }
}

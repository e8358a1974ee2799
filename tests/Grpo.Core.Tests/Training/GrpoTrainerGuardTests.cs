using Grpo.Checkpoints;
using Grpo.Testing;
using Grpo.Training;

namespace Grpo.Core.Tests.Training;

/// <summary>A collapse stops the run or rolls it back, and either way the best checkpoint is there.</summary>
public sealed class GrpoTrainerGuardTests : IDisposable
{
    private const string Fell = "The held-out accuracy fell from 0.600 at step 2 to 0.100, on 512 problems.";

    private readonly TemporaryFolder _folder = new();
    private readonly BigramPolicy _policy = Toy.Policy();
    private readonly ListLogger<GrpoTrainer> _log = new();
    private readonly Dictionary<long, float[]> _weights = [];
    private readonly List<RolloutRequest> _requests = [];
    private readonly RecordingCallback _callback;
    private GrpoOptimizer _optimizer;

    public GrpoTrainerGuardTests()
    {
        _optimizer = Optimizer();
        _callback = new RecordingCallback([]) { OnStep = (report, _) => _weights[report.Step] = _policy.Weights() };
    }

    [Fact]
    public async Task TrainAsync_stops_when_the_accuracy_collapses_and_keeps_the_best_checkpoint()
    {
        TrainingSummary summary = await TrainAsync(CollapseAction.Stop, 9, [0.5, 0.6, 0.1]);
        Assert.Equal((4, 4), (summary.Steps, _optimizer.Step));
        Assert.Equal(new TrainingCollapse(4, Fell, CollapseAction.Stop), summary.Collapse);
        Assert.Equal((2, 0.6, _folder["checkpoint-000002"]), (summary.Best!.Step, summary.Best.Evaluation.Accuracy, summary.Best.Folder));
        Assert.Equal((0.5, 0.1, _folder["checkpoint-000004"]), (summary.Before!.Accuracy, summary.After!.Accuracy, summary.Checkpoint));
        Assert.Equal((false, null, 0), (summary.Canceled, summary.Failure, summary.RollBacks));
        Assert.Equal(
            [null, null, null, $"{Fell} Training stops; the best checkpoint is that of step 2."],
            _callback.Reports.Select(report => report.Event));
        Assert.Same(summary.Collapse, _callback.Summary!.Collapse);
        Assert.Contains(_log.Entries, entry => entry.Id == 34 && entry.Text.Contains(Fell, StringComparison.Ordinal));

        using BigramPolicy best = Toy.Policy(seed: 99);
        using var loaded = new GrpoOptimizer(best, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        loaded.Load(summary.Best.Folder!);
        Assert.Equal(_weights[2], best.Weights());
        Assert.NotEqual(_weights[4], best.Weights());
        Assert.Equal(summary.Best.Folder, await Store().FindBestAsync());
    }

    [Fact]
    public async Task TrainAsync_goes_on_when_the_accuracy_only_wavers()
    {
        TrainingSummary summary = await TrainAsync(CollapseAction.Stop, 6, [0.60, 0.55, 0.50, 0.55], count: 64);
        Assert.Equal((6, null), (summary.Steps, summary.Collapse));
        Assert.All(_callback.Reports, report => Assert.Null(report.Event));
    }

    [Fact]
    public async Task TrainAsync_says_so_and_goes_on_when_told_to()
    {
        TrainingSummary summary = await TrainAsync(CollapseAction.Continue, 6, [0.5, 0.6, 0.1, 0.6]);
        Assert.Equal(6, summary.Steps);
        Assert.Equal(new TrainingCollapse(4, Fell, CollapseAction.Continue), summary.Collapse);
        Assert.Equal([$"{Fell} Training goes on, as configured."], _callback.Reports.Select(report => report.Event).OfType<string>());
    }

    [Fact]
    public async Task TrainAsync_rolls_back_to_the_best_weights_and_goes_on_with_the_next_prompts()
    {
        TrainingSummary summary = await TrainAsync(CollapseAction.RollBack, 6, [0.5, 0.6, 0.1, 0.7]);
        Assert.Equal((6, 6, 1), (summary.Steps, _optimizer.Step, summary.RollBacks));
        Assert.Equal(new TrainingCollapse(4, Fell, CollapseAction.RollBack, RestoredStep: 2), summary.Collapse);
        Assert.Equal($"{Fell} Rolled back to the checkpoint of step 2, roll-back 1 of 2.", _callback.Reports[3].Event);
        Assert.NotEqual(_weights[2], _weights[3]);
        Assert.Equal(_weights[2], _weights[4]);
        Assert.Equal([0, 1, 2, 3, 4, 5], _requests.Select(request => request.Step));
        var order = new PromptOrder(4, seed: 42);
        Assert.Equal(
            Enumerable.Range(0, 6).SelectMany(step => order.At(step, 2)).Select(index => Toy.Prompts[index].Id),
            _requests.SelectMany(request => request.Prompts).Select(prompt => prompt.Id));
        Assert.Equal(
            [(0, 0.5), (2, 0.6), (4, 0.1), (4, 0.6), (6, 0.7)],
            summary.Evaluations.Select(item => (item.Step, item.Evaluation.Accuracy!.Value)));
        Assert.Equal(6, summary.Best!.Step);
    }

    [Fact]
    public async Task TrainAsync_stops_after_the_allowed_roll_backs()
    {
        TrainingSummary summary = await TrainAsync(CollapseAction.RollBack, 20, [0.5, 0.6, 0.1]);
        Assert.Equal((8, 2), (summary.Steps, summary.RollBacks));
        Assert.Equal(new TrainingCollapse(8, Fell, CollapseAction.Stop), summary.Collapse);
        Assert.Equal(_weights[2], _weights[6]);
        Assert.Equal(_folder["checkpoint-000002"], summary.Best!.Folder);
    }

    [Fact]
    public async Task TrainAsync_rolls_back_to_the_model_as_it_was_before_training()
    {
        float[] initial = _policy.Weights();
        TrainingSummary summary = await TrainAsync(CollapseAction.RollBack, 2, [0.6, 0.1]);
        Assert.Equal((0, _folder["checkpoint-000000"]), (summary.Best!.Step, summary.Best.Folder));
        Assert.Equal(initial, _policy.Weights());
        Assert.Equal(0.6, summary.After!.Accuracy);
    }

    [Theory]
    [InlineData(CollapseAction.Stop, 0, 4)]
    [InlineData(CollapseAction.RollBack, 5, 9)]
    public async Task A_run_that_was_stopped_stops_at_once_when_resumed_or_rolls_back_when_told_to(
        CollapseAction action, long steps, long end)
    {
        await TrainAsync(CollapseAction.Stop, 9, [0.5, 0.6, 0.1]);
        Restart();
        _callback.Reports.Clear();
        TrainingSummary summary = await TrainAsync(action, 9, [0.6], resume: true);
        Assert.Equal((steps, end), (summary.Steps, _optimizer.Step));
        Assert.Equal((4, Fell, action), (summary.Collapse!.Step, summary.Collapse.Reason, summary.Collapse.Action));
        Assert.Equal((0.5, 2), (summary.Before!.Accuracy, summary.Best!.Step));
        Assert.Equal(action == CollapseAction.RollBack, _callback.Reports.Count > 0
            && _callback.Reports[0].Event!.StartsWith(Fell, StringComparison.Ordinal));
        Assert.Equal(action == CollapseAction.RollBack ? [4, 5, 6, 7, 8] : [], _requests.Select(request => request.Step));
        Assert.Equal(_folder["checkpoint-000002"], summary.Best.Folder);
    }

    [Fact]
    public async Task TrainAsync_rolls_back_when_an_update_diverges_and_passes_over_the_failed_step()
    {
        int calls = 0;
        _policy.OnLogProbs = () => Fail(++calls, 4);
        TrainingSummary summary = await TrainAsync(CollapseAction.RollBack, 6, [0.5, 0.6, 0.6], microBatch: 100);
        Assert.Equal((5, 6, 1), (summary.Steps, _optimizer.Step, summary.RollBacks));
        Assert.Equal(new TrainingCollapse(4, "The loss is NaN.", CollapseAction.RollBack, RestoredStep: 2), summary.Collapse);
        Assert.Equal([1, 2, 3, 5, 6], _callback.Reports.Select(report => report.Step));
        Assert.Equal("The loss is NaN. Rolled back to the checkpoint of step 2, roll-back 1 of 2.", _callback.Reports[3].Event);
        Assert.Equal([0, 1, 2, 3, 4, 5], _requests.Select(request => request.Step));
    }

    [Theory]
    [InlineData(CollapseAction.Stop, 4)]
    [InlineData(CollapseAction.RollBack, 1)]
    public async Task TrainAsync_lets_a_divergence_through_that_it_cannot_undo(CollapseAction action, int call)
    {
        int calls = 0;
        _policy.OnLogProbs = () => Fail(++calls, call, always: true);
        await Assert.ThrowsAsync<TrainingDivergedException>(() => TrainAsync(action, 9, [0.5, 0.6], microBatch: 100));
        Assert.Equal(("The loss is NaN.", false), (_callback.Summary!.Failure, _callback.Summary.Canceled));
        Assert.Equal(action == CollapseAction.RollBack ? 2 : 0, _callback.Summary.RollBacks);
    }

    [Fact]
    public async Task TrainAsync_stops_when_the_best_checkpoint_is_damaged()
    {
        var callback = new RecordingCallback([])
        {
            OnStep = (report, _) =>
            {
                if (report.Step == 3)
                {
                    File.AppendAllText(Path.Combine(_folder["checkpoint-000002"], "bigram.safetensors"), "x");
                }
            },
        };
        TrainingSummary summary = await TrainAsync(CollapseAction.RollBack, 9, [0.5, 0.6, 0.1], callback: callback);
        Assert.Equal((4, CollapseAction.Stop), (summary.Steps, summary.Collapse!.Action));
        Assert.Contains(_log.Entries, entry => entry.Id == 35);
    }

    [Fact]
    public void Constructor_refuses_a_roll_back_that_has_nothing_to_go_back_to()
    {
        var options = new TrainerOptions { Guard = new CollapseGuard { OnCollapse = CollapseAction.RollBack } };
        var evaluator = new ScriptedEvaluator(1, 0.5);
        Assert.StartsWith(
            "OnCollapse is RollBack, which goes back to the best checkpoint: it needs", Error(options, new() { Evaluator = evaluator }),
            StringComparison.Ordinal);
        Assert.StartsWith("OnCollapse is RollBack", Error(options, new() { Checkpoints = Store() }), StringComparison.Ordinal);
        Assert.StartsWith(
            "OnCollapse is RollBack", Error(options with { KeepBest = false }, new() { Evaluator = evaluator, Checkpoints = Store() }),
            StringComparison.Ordinal);
    }

    [Fact]
    public void Constructor_refuses_bounds_out_of_range()
    {
        Assert.StartsWith(
            "MaxAccuracyDrop is 1.5 but must be above 0, at most 1, or null for no bound. MinEntropyFraction is 1 but must be above 0, "
            + "below 1, or null for no bound. EntropySteps is 0 but must be 1 to 1000. MaxRollBacks is 0 but must be 1 to 100.",
            Error(new TrainerOptions
            {
                Guard = new CollapseGuard { MaxAccuracyDrop = 1.5, MinEntropyFraction = 1, EntropySteps = 0, MaxRollBacks = 0 },
            }), StringComparison.Ordinal);
        Assert.StartsWith(
            "Curriculum is 7 but must be None, PassRate. PassRateWindow is 0 but must be 1 to 64. UnsolvedAt is 0.5 and SolvedAt 0.5; both "
            + "must be finite, and the first below the second. LongestPause is 0 but must be 1 to 1024. "
            + "OnCollapse is 9 but must be Continue, Stop, RollBack.",
            Error(new TrainerOptions
            {
                Curriculum = (CurriculumMode)7,
                PassRates = new PassRateOptions { PassRateWindow = 0, SolvedAt = 0.5, UnsolvedAt = 0.5, LongestPause = 0 },
                Guard = new CollapseGuard { OnCollapse = (CollapseAction)9 },
            }),
            StringComparison.Ordinal);
    }

    public void Dispose()
    {
        _optimizer.Dispose();
        _policy.Dispose();
        _folder.Dispose();
    }

    private static void Fail(int call, int at, bool always = false)
    {
        if (call == at || (always && call > at))
        {
            throw new TrainingDivergedException("The loss is NaN.");
        }
    }

    private string Error(TrainerOptions options, TrainerServices? services = null) =>
        Assert.Throws<ArgumentException>(nameof(options), () => new GrpoTrainer(_optimizer, Toy.Prompts, options, services)).Message;

    private void Restart()
    {
        _optimizer.Dispose();
        _optimizer = Optimizer();
        _requests.Clear();
    }

    private GrpoOptimizer Optimizer(int microBatch = 5) =>
        new(_policy, new WatchedSampler(_requests), new Toy.LetterReward(), Toy.Options with { MicroBatchSize = microBatch });

    private DirectoryCheckpointStore Store() => new(_folder.Path, keepLast: 1);

    private Task<TrainingSummary> TrainAsync(
        CollapseAction action, long steps, double[] accuracies, int count = 512, bool resume = false, int microBatch = 5,
        ITrainingCallback? callback = null)
    {
        if (microBatch != 5)
        {
            _optimizer.Dispose();
            _optimizer = Optimizer(microBatch);
        }

        var options =
            new TrainerOptions { Steps = steps, EvaluateEvery = 2, Resume = resume, Guard = new CollapseGuard { OnCollapse = action } };
        var services = new TrainerServices
        {
            Evaluator = new ScriptedEvaluator(count, accuracies),
            Checkpoints = Store(),
            Callbacks = [callback ?? _callback],
        };
        return new GrpoTrainer(_optimizer, Toy.Prompts, options, services, _log).TrainAsync();
    }

    private sealed class WatchedSampler(List<RolloutRequest> requests) : IGroupSampler
    {
        public ValueTask<IReadOnlyList<RolloutGroup>> SampleAsync(
            IPolicy policy, RolloutRequest request, CancellationToken cancellationToken = default)
        {
            requests.Add(request);
            return Toy.Sampler.SampleAsync(policy, request, cancellationToken);
        }
    }
}

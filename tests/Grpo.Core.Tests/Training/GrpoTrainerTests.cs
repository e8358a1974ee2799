using Grpo.Evaluation;
using Grpo.Testing;
using Grpo.Training;

namespace Grpo.Core.Tests.Training;

public sealed class GrpoTrainerTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly BigramPolicy _policy = Toy.Policy();
    private readonly List<GrpoOptimizer> _optimizers = [];
    private readonly List<string> _log = [];

    [Fact]
    public async Task TrainAsync_evaluates_saves_and_reports_in_their_turn()
    {
        var callback = new RecordingCallback(_log);
        TrainingSummary summary = await Trainer(
            new TrainerOptions { Steps = 5, EvaluateEvery = 2, CheckpointEvery = 3 }, callbacks: callback).TrainAsync();
        Assert.Equal(
            [
                "start 0 to 5", "evaluate", "step 1", "evaluate", "step 2", "step 3", "save 3", "evaluate", "step 4",
                "evaluate", "step 5", "save 5", "end 5",
            ],
            _log);
        Assert.Equal((5, 1, 4, false), (summary.Steps, summary.Before!.Count, summary.After!.Count, summary.Canceled));
        Assert.Equal(Path.Combine(_folder.Path, "00005"), summary.Checkpoint);
        Assert.Equal(summary.CompletionTokens, callback.Reports.Sum(report => report.Report.CompletionTokens));
        Assert.Equal([null, 2, null, 3, 4], callback.Reports.Select(report => report.Evaluation?.Count));
        Assert.All(callback.Reports, report => Assert.Null(report.Checkpoint)); // it comes after them
    }

    [Fact]
    public async Task TrainAsync_keeps_the_texts_of_no_evaluation_but_the_first_the_last_and_the_best()
    {
        using var optimizer = new GrpoOptimizer(_policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        var evaluator = new RewardEvaluator(Toy.Sampler, new Toy.LetterReward(), Toy.Prompts, Toy.Options.Sampling.ToGreedy());
        TrainingSummary summary = await new GrpoTrainer(
            optimizer, Toy.Prompts, new TrainerOptions { Steps = 2, EvaluateEvery = 1 }, new TrainerServices { Evaluator = evaluator })
            .TrainAsync();
        Assert.Equal([4, 4, 4], summary.Evaluations.Select(item => item.Evaluation.Count));
        Assert.All(summary.Evaluations, item => Assert.Empty(item.Evaluation.Items));
        Assert.All(summary.Evaluations, item => Assert.Empty(item.Evaluation.Groups));
        EvaluationReport[] whole = [summary.Before!, summary.After!, summary.Best!.Evaluation];
        Assert.All(whole, report => Assert.Equal((4, 4), (report.Items.Count, report.Groups.Count)));
    }

    [Fact]
    public async Task RunAsync_yields_the_checkpoint_of_a_step_with_its_report()
    {
        var folders = new List<string?>();
        await foreach (TrainingStep report in Trainer(new TrainerOptions { Steps = 5, CheckpointEvery = 3 }).RunAsync())
        {
            folders.Add(Path.GetFileName(report.Checkpoint));
        }

        Assert.Equal([null, null, "00003", null, "00005"], folders);
    }

    [Fact]
    public async Task TrainAsync_evaluates_and_saves_at_the_end_when_no_cadence_is_set()
    {
        await Trainer(new TrainerOptions { Steps = 2 }).TrainAsync();
        Assert.Equal(["evaluate", "evaluate", "save 2"], _log);
    }

    [Fact]
    public async Task TrainAsync_needs_neither_evaluator_nor_store_nor_callbacks()
    {
        GrpoOptimizer optimizer = Optimizer();
        TrainingSummary summary = await new GrpoTrainer(optimizer, Toy.Prompts, new TrainerOptions { Steps = 2 }).TrainAsync();
        Assert.Equal((2, null, null, null), (summary.Steps, summary.Before, summary.After, summary.Checkpoint));
    }

    [Fact]
    public async Task TrainAsync_calls_the_callbacks_in_their_order()
    {
        RecordingCallback first = new(_log, "a "), second = new(_log, "b ");
        await Trainer(new TrainerOptions { Steps = 1 }, evaluator: false, callbacks: [first, second]).TrainAsync();
        Assert.Equal(["a start 0 to 1", "b start 0 to 1", "a step 1", "b step 1", "save 1", "a end 1", "b end 1"], _log);
    }

    [Fact]
    public async Task RunAsync_yields_each_report_and_takes_the_prompts_of_the_order()
    {
        GrpoOptimizer optimizer = Optimizer();
        var trainer = new GrpoTrainer(optimizer, Toy.Prompts, new TrainerOptions { Steps = 4 });
        var reports = new List<TrainingStep>();
        await foreach (TrainingStep report in trainer.RunAsync())
        {
            reports.Add(report);
        }

        Assert.Equal([1, 2, 3, 4], reports.Select(report => report.Step));
        var order = new PromptOrder(4, seed: 42);
        for (int step = 0; step < 4; step++)
        {
            Assert.Equal(order.At(step, 2).Select(index => Toy.Prompts[index].Id), reports[step].Report.Groups
                .Select(group => group.Group.Prompt.Id));
        }
    }

    [Fact]
    public async Task RunAsync_may_be_left_and_taken_up_again()
    {
        GrpoOptimizer optimizer = Optimizer();
        var trainer = new GrpoTrainer(optimizer, Toy.Prompts, new TrainerOptions { Steps = 5 }, Services());
        await foreach (TrainingStep report in trainer.RunAsync())
        {
            if (report.Step == 2)
            {
                break;
            }
        }

        Assert.Equal(["evaluate", "save 2"], _log);
        TrainingSummary summary = await trainer.TrainAsync();
        Assert.Equal((3, 5), (summary.Steps, optimizer.Step));
    }

    [Fact]
    public async Task TrainAsync_continues_to_the_bit_from_the_newest_checkpoint()
    {
        var whole = new RecordingCallback([]);
        await Trainer(new TrainerOptions { Steps = 6, CheckpointEvery = 3 }, evaluator: false, callbacks: whole).TrainAsync();
        float[] weights = _policy.Weights();
        Directory.Delete(_folder["00006"], recursive: true);

        using BigramPolicy policy = Toy.Policy();
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        var rest = new RecordingCallback(_log);
        _log.Clear();
        TrainingSummary summary = await new GrpoTrainer(
            optimizer, Toy.Prompts, new TrainerOptions { Steps = 6, Resume = true }, Services(evaluator: false, rest)).TrainAsync();
        Assert.Equal(["start 3 to 6", "step 4", "step 5", "step 6", "save 6", "end 3"], _log);
        Assert.Equal(3, summary.Steps);
        Assert.Equal(
            whole.Reports.Skip(3).Select(step => Toy.Describe(step.Report)), rest.Reports.Select(step => Toy.Describe(step.Report)));
        Assert.Equal(weights, policy.Weights());
    }

    [Fact]
    public async Task TrainAsync_starts_afresh_when_there_is_nothing_to_resume_and_ends_at_once_when_all_is_done()
    {
        GrpoTrainer trainer = Trainer(new TrainerOptions { Steps = 2, Resume = true }, callbacks: new RecordingCallback(_log));
        Assert.Equal(2, (await trainer.TrainAsync()).Steps);
        _log.Clear();
        Assert.Equal(0, (await trainer.TrainAsync()).Steps);
        Assert.Equal(["start 2 to 2", "end 0"], _log);
    }

    [Fact]
    public void Constructor_refuses_no_prompts_twins_and_options_out_of_range()
    {
        GrpoOptimizer optimizer = Optimizer();
        Assert.StartsWith(
            "There are no prompts: the data set is empty.",
            Assert.Throws<ArgumentException>(() => new GrpoTrainer(optimizer, [])).Message, StringComparison.Ordinal);
        Assert.StartsWith(
            "2 prompts have the id 'x'; every prompt needs its own.",
            Assert.Throws<ArgumentException>(() => new GrpoTrainer(optimizer, [Prompt.Create("x", "a"), Prompt.Create("x", "b")])).Message,
            StringComparison.Ordinal);
        Assert.StartsWith(
            "Steps is 0 but must be 1 or more. EvaluateEvery is -1 but must be 0 or more. CheckpointEvery is -2 but must be 0 or more.",
            Assert.Throws<ArgumentException>(() => new GrpoTrainer(
                optimizer, Toy.Prompts, new TrainerOptions { Steps = 0, EvaluateEvery = -1, CheckpointEvery = -2 })).Message,
            StringComparison.Ordinal);
    }

    public void Dispose()
    {
        _optimizers.ForEach(optimizer => optimizer.Dispose());
        _policy.Dispose();
        _folder.Dispose();
    }

    private GrpoOptimizer Optimizer()
    {
        var optimizer = new GrpoOptimizer(_policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        _optimizers.Add(optimizer);
        return optimizer;
    }

    private TrainerServices Services(bool evaluator = true, params IReadOnlyList<ITrainingCallback> callbacks) => new()
    {
        Evaluator = evaluator ? new RecordingEvaluator(_log) : null,
        Checkpoints = new RecordingStore(_log, _folder.Path),
        Callbacks = callbacks,
    };

    private GrpoTrainer Trainer(TrainerOptions options, bool evaluator = true, params IReadOnlyList<ITrainingCallback> callbacks) =>
        new(Optimizer(), Toy.Prompts, options, Services(evaluator, callbacks));
}

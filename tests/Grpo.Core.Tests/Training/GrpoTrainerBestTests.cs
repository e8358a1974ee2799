using Grpo.Checkpoints;
using Grpo.Testing;
using Grpo.Training;

namespace Grpo.Core.Tests.Training;

public sealed class GrpoTrainerBestTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly BigramPolicy _policy = Toy.Policy();
    private readonly List<string> _log = [];

    [Fact]
    public async Task TrainAsync_saves_and_marks_each_evaluation_that_is_better_than_all_before()
    {
        var callback = new RecordingCallback(_log);
        TrainingSummary summary = await TrainAsync(
            new TrainerOptions { Steps = 6, EvaluateEvery = 1 }, new RecordingStore(_log, _folder.Path), [0.3, 0.5, 0.4, 0.5, 0.6, 0.5],
            callback);
        Assert.Equal(
            [
                "start 0 to 6", "step 1", "save 1", "best 1", "step 2", "step 3", "step 4", "save 4", "best 4", "step 5", "step 6",
                "save 6", "end 6",
            ],
            _log);
        Assert.Equal(
            (4, 0.6, Path.Combine(_folder.Path, "00004")), (summary.Best!.Step, summary.Best.Evaluation.Accuracy, summary.Best.Folder));
        Assert.Equal([0.3, 0.5, 0.4, 0.5, 0.6, 0.5, 0.5], summary.Evaluations.Select(item => item.Evaluation.Accuracy!.Value));
        Assert.Equal([0, 1, 2, 3, 4, 5, 6], summary.Evaluations.Select(item => item.Step));
    }

    [Fact]
    public async Task TrainAsync_saves_once_when_the_best_falls_on_a_regular_checkpoint()
    {
        await TrainAsync(
            new TrainerOptions { Steps = 2, EvaluateEvery = 1, CheckpointEvery = 1 }, new RecordingStore(_log, _folder.Path),
            [0.3, 0.5, 0.6]);
        Assert.Equal(["save 1", "best 1", "save 2", "best 2"], _log);
    }

    [Fact]
    public async Task TrainAsync_reports_the_model_before_training_when_nothing_is_better()
    {
        TrainingSummary summary = await TrainAsync(
            new TrainerOptions { Steps = 2, EvaluateEvery = 1 }, new RecordingStore(_log, _folder.Path), [0.5, 0.4]);
        Assert.Equal((0, null), (summary.Best!.Step, summary.Best.Folder));
        Assert.Equal(["save 2"], _log);
    }

    [Fact]
    public async Task TrainAsync_marks_nothing_when_told_not_to_and_still_reports_the_best()
    {
        TrainingSummary summary = await TrainAsync(
            new TrainerOptions { Steps = 2, EvaluateEvery = 1, KeepBest = false }, new RecordingStore(_log, _folder.Path), [0.3, 0.5, 0.4]);
        Assert.Equal(["save 2"], _log);
        Assert.Equal((1, 0.5, null), (summary.Best!.Step, summary.Best.Evaluation.Accuracy, summary.Best.Folder));
    }

    [Fact]
    public async Task TrainAsync_says_that_the_mark_failed_where_the_save_did_not()
    {
        var log = new ListLogger<GrpoTrainer>();
        var callback = new RecordingCallback(_log);
        using var optimizer = Optimizer();
        var options = new TrainerOptions { Steps = 2, EvaluateEvery = 1, OnCheckpointFailure = CheckpointFailureAction.Continue };
        var services = new TrainerServices
        {
            Evaluator = new ScriptedEvaluator(16, 0.3, 0.5, 0.4),
            Checkpoints = new UnmarkedStore(new RecordingStore(_log, _folder.Path)),
            Callbacks = [callback],
        };
        await new GrpoTrainer(optimizer, Toy.Prompts, options, services, log).TrainAsync();

        Assert.Equal(["start 0 to 2", "step 1", "save 1", "step 2", "save 2", "end 2"], _log);
        Assert.Equal(
            "The checkpoint of step 1 was written, but it could not be marked as the best: no mark on purpose", callback.Reports[1].Event);
        Assert.Equal(
            "The checkpoint of step 1 was written, but it could not be marked as the best; the run goes on.",
            Assert.Single(log.Entries, entry => entry.Id is 40 or 68).Text);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task TrainAsync_still_knows_the_best_after_a_resume(bool markLost)
    {
        var store = new DirectoryCheckpointStore(_folder.Path, keepLast: 1);
        var options = new TrainerOptions { Steps = 3, EvaluateEvery = 1, CheckpointEvery = 1, Resume = true };
        TrainingSummary first = await TrainAsync(options, store, [0.3, 0.6, 0.5]);
        if (markLost)
        {
            File.WriteAllText(_folder["best.json"], "damaged");
        }

        TrainingSummary second = await TrainAsync(options with { Steps = 6 }, store, [0.55]);
        string best = _folder["checkpoint-000001"];
        Assert.Equal((best, best, best), (first.Best!.Folder, second.Best!.Folder, await store.FindBestAsync()));
        Assert.Equal((0.3, 0.6, 0.55), (second.Before!.Accuracy, second.Best.Evaluation.Accuracy, second.After!.Accuracy));
        Assert.Equal([best, _folder["checkpoint-000006"]], Directory.GetDirectories(_folder.Path).Order(StringComparer.Ordinal));
        Assert.Equal([0.3, 0.6, 0.5, 0.5, 0.55, 0.55, 0.55], second.Evaluations.Select(item => item.Evaluation.Accuracy!.Value));
    }

    [Fact]
    public async Task TrainAsync_makes_up_for_the_evaluation_that_a_canceled_run_owes()
    {
        var store = new RecordingStore(_log, _folder.Path);
        using var source = new CancellationTokenSource();
        var options = new TrainerOptions { Steps = 4, EvaluateEvery = 2, Resume = true };
        using (var optimizer = Optimizer())
        {
            var evaluator = new RecordingEvaluator([], call =>
            {
                if (call == 2)
                {
                    source.Cancel();
                }
            });
            var services = new TrainerServices { Evaluator = evaluator, Checkpoints = store };
            await Assert.ThrowsAnyAsync<OperationCanceledException>(
                () => new GrpoTrainer(optimizer, Toy.Prompts, options, services).TrainAsync(source.Token));
        }

        TrainingSummary summary = await TrainAsync(options, store, [0.5, 0.4]);
        Assert.Equal([0, 2, 4], summary.Evaluations.Select(item => item.Step));
        Assert.Equal((2, 2), (summary.Best!.Step, summary.Steps));
        Assert.Equal(["save 2", "save 2", "best 2", "save 4"], _log); // again, with the evaluation
    }

    [Fact]
    public async Task TrainAsync_resumes_from_a_checkpoint_without_a_trainer_state()
    {
        var store = new RecordingStore(_log, _folder.Path);
        var options = new TrainerOptions { Steps = 2, EvaluateEvery = 1, Resume = true, Curriculum = CurriculumMode.PassRate };
        await TrainAsync(options, store, [0.3, 0.6]);
        File.Delete(Path.Combine(_folder["00002"], "trainer_state.json"));
        var callback = new RecordingCallback([]);
        TrainingSummary summary = await TrainAsync(options with { Steps = 3 }, store, [0.4], callback);
        Assert.Equal((0.4, 2, _folder["00002"]), (summary.Before!.Accuracy, summary.Best!.Step, summary.Best.Folder));
        Assert.Equal(
            new PromptOrder(4, seed: 42).At(2, 2).Select(index => Toy.Prompts[index].Id),
            callback.Reports[0].Report.Groups.Select(group => group.Group.Prompt.Id));
    }

    [Theory]
    [InlineData("format\":1", "format\":2", "it has format 2; this version reads format 1.")]
    [InlineData("\"format\":1", "\"format\":1,\"format\":1", "Duplicate property")]
    [InlineData("\"format\":1,", "", "was missing required properties")]
    [InlineData("roll_backs\":0", "roll_backs\":-1", "it counts -1 roll-backs and is at position ; neither can be negative.")]
    [InlineData("position\":null", "position\":-5", "it counts 0 roll-backs and is at position -5; neither can be negative.")]
    [InlineData(
        "position\":null", "position\":9223372036854775807",
        "it is at position 9223372036854775807; at most 1152921504606846976 is possible.")]
    [InlineData("accuracy\":0.5", "accuracy\":1.5", "an evaluation has a negative count or step, or an accuracy outside 0 to 1.")]
    [InlineData("evaluations\":[", "evaluations\":[null,", "an evaluation has a negative count or step, or an accuracy outside 0 to 1.")]
    [InlineData("evaluations\":[", "evaluations\":null,\"x\":[", "doesn't allow null values")]
    [InlineData("best_step\":0", "best_step\":3", "no evaluation is of step 3, the best.")]
    [InlineData("pass_rates\":{}", "pass_rates\":{\"p0\":null}", "a pass rate is outside 0 to 1, or a pause or step is negative.")]
    [InlineData("pass_rates\":{}", "pass_rates\":{\"p0\":{\"rates\":[1]}}", "was missing required properties")]
    [InlineData(
        "pass_rates\":{}", "pass_rates\":{\"p0\":{\"rates\":null,\"pause\":0,\"last_pause\":0,\"last_step\":1}}",
        "doesn't allow null values")]
    [InlineData(
        "pass_rates\":{}", "pass_rates\":{\"p0\":{\"rates\":[2],\"pause\":0,\"last_pause\":0,\"last_step\":1}}",
        "a pass rate is outside 0 to 1, or")]
    [InlineData(
        "pass_rates\":{}", "pass_rates\":{\"p0\":{\"rates\":[1],\"pause\":-1,\"last_pause\":0,\"last_step\":1}}",
        "or a pause or step is negative.")]
    [InlineData(
        "pass_rates\":{}", "pass_rates\":{\"p0\":{\"rates\":[],\"pause\":1,\"last_pause\":1,\"last_step\":1}}",
        "or a pause or step is negative.")]
    [InlineData("{", "", "could not be converted")]
    [InlineData(null, "null", "it holds null.")]
    public async Task TrainAsync_names_the_file_when_the_trainer_state_is_damaged(string? from, string to, string problem)
    {
        var store = new RecordingStore(_log, _folder.Path);
        await TrainAsync(new TrainerOptions { Steps = 1 }, store, [0.5]);
        string file = Path.Combine(_folder["00001"], "trainer_state.json");
        string text = File.ReadAllText(file);
        Assert.Contains(from ?? "", text, StringComparison.Ordinal);
        File.WriteAllText(file, from is null ? to : text.Replace(from, to, StringComparison.Ordinal));
        float[] weights = _policy.Weights();
        var error = await Assert.ThrowsAsync<InvalidDataException>(
            () => TrainAsync(new TrainerOptions { Steps = 2, Resume = true }, store, [0.5]));
        Assert.StartsWith($"'{file}' is not a trainer's state: ", error.Message, StringComparison.Ordinal);
        Assert.Contains(problem, error.Message, StringComparison.Ordinal);
        Assert.Equal(weights, _policy.Weights());
    }

    [Fact]
    public async Task TrainAsync_refuses_a_trainer_state_of_absurd_size_unread()
    {
        var store = new RecordingStore(_log, _folder.Path);
        await TrainAsync(new TrainerOptions { Steps = 1 }, store, [0.5]);
        using (FileStream file = File.OpenWrite(Path.Combine(_folder["00001"], "trainer_state.json")))
        {
            file.SetLength((256L << 20) + 1); // sparse
        }

        var error = await Assert.ThrowsAsync<InvalidDataException>(
            () => TrainAsync(new TrainerOptions { Steps = 2, Resume = true }, store, [0.5]));
        Assert.EndsWith("has 268435457 bytes; the limit for a trainer's state is 268435456.", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task TrainAsync_warns_when_the_curriculum_has_nothing_to_go_by()
    {
        var log = new ListLogger<GrpoTrainer>();
        using var optimizer = Optimizer();
        await new GrpoTrainer(optimizer, Toy.Prompts, new TrainerOptions { Steps = 3, Curriculum = CurriculumMode.PassRate }, logger: log)
            .TrainAsync();
        Assert.Single(log.Entries, entry => entry.Id == 36);
    }

    public void Dispose()
    {
        _policy.Dispose();
        _folder.Dispose();
    }

    private GrpoOptimizer Optimizer() => new(_policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);

    private sealed class UnmarkedStore(ICheckpointStore inner) : ICheckpointStore
    {
        public ValueTask<string> SaveAsync(long step, Action<string> write, CancellationToken cancellationToken = default) =>
            inner.SaveAsync(step, write, cancellationToken);

        public ValueTask<string?> FindLatestAsync(CancellationToken cancellationToken = default) =>
            inner.FindLatestAsync(cancellationToken);

        public ValueTask<string?> MarkBestAsync(long step, CancellationToken cancellationToken = default) =>
            throw new IOException("no mark on purpose");

        public ValueTask<string?> FindBestAsync(CancellationToken cancellationToken = default) => inner.FindBestAsync(cancellationToken);
    }

    private async Task<TrainingSummary> TrainAsync(
        TrainerOptions options, ICheckpointStore store, double[] accuracies, params ITrainingCallback[] callbacks)
    {
        using var optimizer = Optimizer();
        var services =
            new TrainerServices { Evaluator = new ScriptedEvaluator(16, accuracies), Checkpoints = store, Callbacks = callbacks };
        return await new GrpoTrainer(optimizer, Toy.Prompts, options, services).TrainAsync();
    }
}

using Grpo.Checkpoints;
using Grpo.Core.Tests.Training;
using Grpo.Evaluation;
using Grpo.Modeling;
using Grpo.Testing;
using Grpo.Training;
using static TorchSharp.torch;

namespace Grpo.Core.Tests.Optimization;

/// <summary>One policy is trained by one thing at a time; what would be the second is refused, and the first goes on.</summary>
public sealed class OneAtATimeTests : IDisposable
{
    private readonly BigramPolicy _policy = Toy.Policy();
    private readonly GateReward _gate = new();
    private readonly GrpoOptimizer _optimizer;

    public OneAtATimeTests() => _optimizer = new GrpoOptimizer(_policy, Toy.Sampler, _gate, Toy.Options);

    public static TheoryData<string> Operations => new("StepAsync", "RolloutAsync", "ScoreAsync", "Update", "Save", "Load");

    [Theory]
    [MemberData(nameof(Operations))]
    public async Task Operations_of_an_optimizer_are_refused_while_a_step_runs(string operation)
    {
        using var folder = new TemporaryFolder();
        _optimizer.Save(folder.Path);
        Task<StepReport> step = _optimizer.StepAsync(Toy.Prompts);
        await _gate.Begun;

        // What is not refused may wait for the gate.
        var error = await Assert.ThrowsAsync<InvalidOperationException>(
            () => RunAsync(_optimizer, operation, folder.Path).WaitAsync(TimeSpan.FromSeconds(30)));

        Assert.Equal(
            $"GrpoOptimizer.{operation} cannot start: GrpoOptimizer.StepAsync is at work on the same policy. "
            + "Await its end first, or give each a policy of its own.",
            error.Message);
        _gate.Open();
        Assert.Equal(1, (await step).Step);
        await RunAsync(_optimizer, operation, folder.Path);
    }

    [Fact]
    public async Task StepAsync_is_refused_while_another_optimizer_trains_the_policy()
    {
        using var other = new GrpoOptimizer(_policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        Task<StepReport> step = _optimizer.StepAsync(Toy.Prompts);
        await _gate.Begun;

        await Assert.ThrowsAsync<InvalidOperationException>(() => other.StepAsync(Toy.Prompts));

        _gate.Open();
        await step;
        Assert.Equal(1, (await other.StepAsync(Toy.Prompts)).Step);
    }

    [Fact]
    public async Task StepAsync_is_refused_while_the_same_model_is_trained_in_another_wrapper()
    {
        using var other = new GrpoOptimizer(new Wrapper(_policy), Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        Task<StepReport> step = _optimizer.StepAsync(Toy.Prompts);
        await _gate.Begun;

        await Assert.ThrowsAsync<InvalidOperationException>(() => other.StepAsync(Toy.Prompts));

        _gate.Open();
        await step;
    }

    [Theory]
    [InlineData("one trainer")]
    [InlineData("two trainers of one optimizer")]
    [InlineData("two optimizers of one policy")]
    public async Task RunAsync_is_refused_while_a_loop_trains_the_policy(string kind)
    {
        _gate.Open();
        using var otherOptimizer = new GrpoOptimizer(_policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        GrpoTrainer first = Trainer(_optimizer);
        GrpoTrainer second = kind switch
        {
            "one trainer" => first,
            "two trainers of one optimizer" => Trainer(_optimizer),
            _ => Trainer(otherOptimizer),
        };

        await foreach (TrainingStep report in first.RunAsync())
        {
            var error = await Assert.ThrowsAsync<InvalidOperationException>(() => second.TrainAsync());
            Assert.Equal(
                "GrpoTrainer.RunAsync cannot start: GrpoTrainer.RunAsync is at work on the same policy. "
                + "Await its end first (leaving its loop ends it), or give each a policy of its own.",
                error.Message);
            Assert.Equal(report.Step, _optimizer.Step);
        }

        Assert.Equal(3, _optimizer.Step);
    }

    [Fact]
    public async Task RunAsync_of_supervised_training_is_refused_while_a_loop_trains_the_policy()
    {
        _gate.Open();
        SupervisedTrainer supervised = Supervised();
        await foreach (TrainingStep _ in Trainer(_optimizer).RunAsync())
        {
            await Assert.ThrowsAsync<InvalidOperationException>(() => DrainAsync(supervised));
        }

        await foreach (SupervisedReport _ in supervised.RunAsync())
        {
            await Assert.ThrowsAsync<InvalidOperationException>(() => DrainAsync(supervised));
            await Assert.ThrowsAsync<InvalidOperationException>(() => Trainer(_optimizer).TrainAsync());
        }
    }

    [Theory]
    [InlineData("break")]
    [InlineData("never enumerated")]
    [InlineData("disposed at once")]
    [InlineData("canceled")]
    [InlineData("failed")]
    [InlineData("failed before its first step")]
    public async Task RunAsync_can_be_called_again_after_a_loop_that_was(string end)
    {
        _gate.Open();
        using var source = new CancellationTokenSource();
        GrpoTrainer trainer = Trainer(_optimizer);
        switch (end)
        {
            case "break":
                await foreach (TrainingStep _ in trainer.RunAsync())
                {
                    break;
                }

                break;
            case "never enumerated":
                _ = trainer.RunAsync().GetAsyncEnumerator();
                break;
            case "disposed at once":
                await trainer.RunAsync().GetAsyncEnumerator().DisposeAsync();
                break;
            case "canceled":
                _gate.OnScore = source.Cancel;
                await Assert.ThrowsAnyAsync<OperationCanceledException>(() => trainer.TrainAsync(source.Token));
                break;
            case "failed":
                _gate.OnScore = () => throw new InvalidOperationException("out of order");
                await Assert.ThrowsAsync<RewardException>(() => trainer.TrainAsync());
                break;
            default:
                await Assert.ThrowsAsync<InvalidDataException>(() => Trainer(_optimizer, new FaultyStore()).TrainAsync());
                break;
        }

        _gate.OnScore = null;
        await Trainer(_optimizer).TrainAsync();
        Assert.Equal(3, _optimizer.Step);
    }

    [Fact]
    public async Task Callbacks_and_loop_bodies_may_save_and_evaluate()
    {
        _gate.Open();
        using var folder = new TemporaryFolder();
        var evaluator = new RewardEvaluator(
            Toy.Sampler, new Toy.LetterReward(), Toy.Prompts, new SamplingOptions { MaxCompletionTokens = 6 });
        await foreach (TrainingStep _ in Trainer(_optimizer).RunAsync())
        {
            _optimizer.Save(folder.Path);
            Assert.Equal(4, (await evaluator.EvaluateAsync(_policy)).Count);
        }
    }

    [Theory]
    [MemberData(nameof(Operations))]
    public async Task Operations_are_refused_before_anything_runs_when_the_optimizer_is_disposed(string operation)
    {
        using var folder = new TemporaryFolder();
        _optimizer.Save(folder.Path);
        int sessions = 0;
        _policy.OnStartDecoding = _ => sessions++;
        _optimizer.Dispose();
        _optimizer.Dispose(); // a second time does nothing

        var error = await Assert.ThrowsAsync<ObjectDisposedException>(() => RunAsync(_optimizer, operation, folder.Path));

        Assert.Contains(nameof(GrpoOptimizer), error.Message, StringComparison.Ordinal);
        Assert.Equal((0, false), (sessions, _gate.Begun.IsCompleted));
        Assert.Throws<ObjectDisposedException>(() => _optimizer.Explain());
    }

    [Fact]
    public async Task TrainAsync_is_refused_before_anything_runs_when_the_optimizer_is_disposed()
    {
        int evaluations = 0;
        GrpoTrainer trainer = new(
            _optimizer, Toy.Prompts, new TrainerOptions { Steps = 3 },
            new TrainerServices { Evaluator = new CountingEvaluator(() => evaluations++) });
        _optimizer.Dispose();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => trainer.TrainAsync());
        Assert.Equal(0, evaluations);
    }

    [Fact]
    public async Task Dispose_in_the_middle_of_a_step_lets_it_end()
    {
        Task<StepReport> step = _optimizer.StepAsync(Toy.Prompts);
        await _gate.Begun;
        _optimizer.Dispose();
        _gate.Open();

        Assert.NotEmpty((await step).Updates);
        await Assert.ThrowsAsync<ObjectDisposedException>(() => _optimizer.StepAsync(Toy.Prompts));
    }

    public void Dispose()
    {
        _gate.Open();
        _optimizer.Dispose();
        _policy.Dispose();
    }

    private static GrpoTrainer Trainer(GrpoOptimizer optimizer, ICheckpointStore? store = null) =>
        new(
            optimizer, Toy.Prompts, new TrainerOptions { Steps = 3, Resume = store is not null },
            new TrainerServices { Checkpoints = store });

    private SupervisedTrainer Supervised() => new(
        _policy, SupervisedTrainerTests.Data(new SupervisedExample(Toy.Prompts[0], "abc")), new SupervisedOptions { Steps = 2 });

    private static async Task DrainAsync(SupervisedTrainer trainer)
    {
        await foreach (SupervisedReport _ in trainer.RunAsync())
        {
            // Nothing to do.
        }
    }

    private static async Task RunAsync(GrpoOptimizer optimizer, string operation, string folder)
    {
        RolloutGroup group = Toy.Group(Toy.Prompts[0], "ab", "c");
        switch (operation)
        {
            case "StepAsync":
                await optimizer.StepAsync(Toy.Prompts);
                break;
            case "RolloutAsync":
                await optimizer.RolloutAsync(Toy.Prompts);
                break;
            case "ScoreAsync":
                await optimizer.ScoreAsync([group]);
                break;
            case "Update":
                optimizer.Update([Toy.Scored(group, 1, -1)]);
                break;
            case "Save":
                optimizer.Save(folder);
                break;
            default:
                optimizer.Load(folder);
                break;
        }
    }

    /// <summary>Says when it was called, and waits until the test opens it.</summary>
    private sealed class GateReward : IRewardFunction
    {
        private readonly TaskCompletionSource _begun = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly TaskCompletionSource _open = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public string Name => "gate";

        public Task Begun => _begun.Task;

        public Action? OnScore { get; set; }

        public void Open() => _open.TrySetResult();

        public async ValueTask<IReadOnlyList<Reward>> ScoreAsync(RolloutGroup group, CancellationToken cancellationToken = default)
        {
            _begun.TrySetResult();
            OnScore?.Invoke();
            await _open.Task;
            cancellationToken.ThrowIfCancellationRequested();
            return [.. group.Completions.Select(completion => (Reward)completion.Text.Length)];
        }
    }

    private sealed class Wrapper(BigramPolicy inner) : IPolicy
    {
        public nn.Module Module => inner.Module;

        public int? VocabularySize => inner.VocabularySize;

        public Tensor LogProbs(TokenBatch batch, double temperature) => inner.LogProbs(batch, temperature);

        public TokenStatistics LogProbsAndEntropies(TokenBatch batch, double temperature) => inner.LogProbsAndEntropies(batch, temperature);

        public IDecodingSession StartDecoding(TokenBatch prompts, int groupSize, int maxNewTokens) =>
            inner.StartDecoding(prompts, groupSize, maxNewTokens);

        public void Save(string directory) => inner.Save(directory);

        public void Load(string directory) => inner.Load(directory);
    }

    private sealed class FaultyStore : ICheckpointStore
    {
        public ValueTask<string> SaveAsync(long step, Action<string> write, CancellationToken cancellationToken = default) =>
            throw new NotSupportedException();

        public ValueTask<string?> FindLatestAsync(CancellationToken cancellationToken = default) =>
            throw new InvalidDataException("All are damaged.");

        public ValueTask<string?> MarkBestAsync(long step, CancellationToken cancellationToken = default) =>
            throw new NotSupportedException();

        public ValueTask<string?> FindBestAsync(CancellationToken cancellationToken = default) => throw new NotSupportedException();
    }

    private sealed class CountingEvaluator(Action onEvaluate) : IEvaluator
    {
        public ValueTask<EvaluationReport> EvaluateAsync(IPolicy policy, CancellationToken cancellationToken = default)
        {
            onEvaluate();
            return ValueTask.FromResult(new EvaluationReport { Count = 1 });
        }
    }
}

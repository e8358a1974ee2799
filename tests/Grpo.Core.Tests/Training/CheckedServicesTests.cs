using Grpo.Checkpoints;
using Grpo.Evaluation;
using Grpo.Testing;
using Grpo.Training;

namespace Grpo.Core.Tests.Training;

/// <summary>An evaluator or a checkpoint store that returns nonsense ends the run with its name.</summary>
public sealed class CheckedServicesTests : IDisposable
{
    private readonly BigramPolicy _policy = Toy.Policy();

    public static TheoryData<string, string> Reports => new()
    {
        { "null", "null; it must return a report." },
        { "negative count", "a report with Count -1; it must be 0 or more." },
        { "accuracy of NaN", "a report with Accuracy NaN; it must be 0 to 1, or null where nothing is judged." },
        { "accuracy in percent", "a report with Accuracy 55; it must be 0 to 1, or null where nothing is judged." },
        { "infinite reward", "a report with MeanReward Infinity; it must be finite, or NaN where nothing is scored." },
        { "NaN tokens", "a report with MeanCompletionTokens NaN; it must be finite." },
        { "null verdicts", "a report whose Verdicts are null; where there are none they are empty." },
    };

    [Theory]
    [MemberData(nameof(Reports))]
    public async Task TrainAsync_names_an_evaluator(string fault, string problem)
    {
        using var optimizer = new GrpoOptimizer(_policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        var trainer = new GrpoTrainer(
            optimizer, Toy.Prompts, new TrainerOptions { Steps = 1 }, new TrainerServices { Evaluator = new FaultyEvaluator(fault) });
        Assert.Equal(
            "FaultyEvaluator.EvaluateAsync returned " + problem,
            (await Assert.ThrowsAsync<InvalidOperationException>(() => trainer.TrainAsync())).Message);
        Assert.Equal(0, optimizer.Step);
    }

    public static TheoryData<string, string> Stores => new()
    {
        { "null", "FaultyStore.SaveAsync returned null; it must return the folder of the checkpoint of step 1." },
        { "empty", "FaultyStore.SaveAsync returned an empty text; it must return the folder of the checkpoint of step 1." },
        { "writes nothing", "FaultyStore.SaveAsync returned without having called write: there is no checkpoint of step 1." },
    };

    [Theory]
    [MemberData(nameof(Stores))]
    public async Task TrainAsync_names_a_checkpoint_store(string fault, string message)
    {
        using var folder = new TemporaryFolder();
        using var optimizer = new GrpoOptimizer(_policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        var services = new TrainerServices { Checkpoints = new FaultyStore(fault, folder.Path) };
        var trainer = new GrpoTrainer(optimizer, Toy.Prompts, new TrainerOptions { Steps = 1 }, services);
        Assert.Equal(message, (await Assert.ThrowsAsync<InvalidOperationException>(() => trainer.TrainAsync())).Message);
    }

    [Theory]
    [MemberData(nameof(Stores))]
    public async Task RunAsync_of_supervised_training_names_a_checkpoint_store(string fault, string message)
    {
        using var folder = new TemporaryFolder();
        var trainer = new SupervisedTrainer(
            _policy, SupervisedTrainerTests.Data(new SupervisedExample(Toy.Prompts[0], "abc")),
            new SupervisedOptions { Steps = 1 }, new SupervisedServices { Checkpoints = new FaultyStore(fault, folder.Path) });
        Assert.Equal(message, (await Assert.ThrowsAsync<InvalidOperationException>(async () =>
        {
            await foreach (SupervisedReport _ in trainer.RunAsync())
            {
                // The checkpoint comes first.
            }
        })).Message);
    }

    [Theory]
    [InlineData("prompt")]
    [InlineData("callback")]
    public void Constructor_refuses_null_in_a_list(string what)
    {
        using var optimizer = new GrpoOptimizer(_policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        IReadOnlyList<Prompt> prompts = what == "prompt" ? [Toy.Prompts[0], null!] : Toy.Prompts;
        var services = new TrainerServices { Callbacks = what == "callback" ? [null!] : [] };
        Assert.Equal(
            "A prompt or a callback is null; leave it out of the list.",
            Assert.Throws<ArgumentException>(() => new GrpoTrainer(optimizer, prompts, null, services)).Message);
    }

    public void Dispose() => _policy.Dispose();

    private sealed class FaultyEvaluator(string fault) : IEvaluator
    {
        public ValueTask<EvaluationReport> EvaluateAsync(IPolicy policy, CancellationToken cancellationToken = default)
        {
            var good = new EvaluationReport { Count = 2 };
            return ValueTask.FromResult(fault switch
            {
                "null" => null!,
                "negative count" => good with { Count = -1 },
                "accuracy of NaN" => good with { Accuracy = double.NaN },
                "accuracy in percent" => good with { Accuracy = 55 },
                "infinite reward" => good with { MeanReward = double.PositiveInfinity },
                "NaN tokens" => good with { MeanCompletionTokens = double.NaN },
                _ => good with { Verdicts = null! },
            });
        }
    }

    private sealed class FaultyStore(string fault, string folder) : ICheckpointStore
    {
        public ValueTask<string> SaveAsync(long step, Action<string> write, CancellationToken cancellationToken = default)
        {
            if (fault != "writes nothing")
            {
                write(folder);
            }

            return ValueTask.FromResult(fault switch { "null" => null!, "empty" => "", _ => folder });
        }

        public ValueTask<string?> FindLatestAsync(CancellationToken cancellationToken = default) => ValueTask.FromResult<string?>(null);

        public ValueTask<string?> MarkBestAsync(long step, CancellationToken cancellationToken = default) =>
            ValueTask.FromResult<string?>(null);

        public ValueTask<string?> FindBestAsync(CancellationToken cancellationToken = default) => ValueTask.FromResult<string?>(null);
    }
}

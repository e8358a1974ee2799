using Grpo.Checkpoints;
using Grpo.Modeling;
using Grpo.Planning;
using Grpo.Testing;
using Grpo.Training;

namespace Grpo.Core.Tests.Training;

/// <summary>Held-out loss and checkpoints of supervised training.</summary>
public sealed class SupervisedResumeTests : IDisposable
{
    // Prompts and answers of different lengths, so that order, buckets and padding matter.
    private static readonly SupervisedExample[] Examples =
        [.. "abcdefgh".Select(
            (letter, i) => new SupervisedExample(Prompt.Create($"e{i}", new string(letter, 1 + (i % 3))), "abc"[..(1 + (i % 2))]))];

    private static readonly SupervisedOptions Options =
        new() { Steps = 9, BatchSize = 3, MicroBatchSize = 2, LearningRate = 0.1, WarmupSteps = 2, Seed = 5 };

    private readonly TemporaryFolder _folder = new();
    private readonly List<string> _log = [];
    private readonly BigramPolicy _policy = Toy.Policy();

    [Fact]
    public async Task RunAsync_continues_bit_for_bit_from_a_checkpoint()
    {
        SupervisedReport[] whole = await Run(_policy, Options);
        using BigramPolicy first = Toy.Policy(), second = Toy.Policy();
        SupervisedOptions options = Options with { CheckpointEvery = 4 };
        var start = new List<SupervisedReport>();
        await foreach (SupervisedReport report in Trainer(first, options, Store()).RunAsync())
        {
            start.Add(report);
            if (report.Step == 6)
            {
                break;
            }
        }

        SupervisedReport[] rest = await Run(second, options with { Resume = true }, Store());

        Assert.Equal(["save 4", "save 6", "save 8", "save 9"], _log);
        Assert.Equal(7, rest[0].Step);
        Assert.Equal(whole, start.Concat(rest).Select(report => report with { Checkpoint = null }));
        Assert.Equal(_policy.Weights(), second.Weights());
    }

    [Fact]
    public async Task RunAsync_continues_bit_for_bit_with_moments_in_8_bits()
    {
        SupervisedOptions options = Options with { OptimizerMoments = OptimizerMoments.Int8 };
        SupervisedReport[] whole = await Run(_policy, options);
        using BigramPolicy first = Toy.Policy(), second = Toy.Policy(), exact = Toy.Policy();
        await Run(first, options with { Steps = 9, CheckpointEvery = 4 }, new DirectoryCheckpointStore(_folder.Path, keepLast: 9));
        foreach (string later in Directory.GetDirectories(_folder.Path)
            .Where(folder => !folder.EndsWith("000004", StringComparison.Ordinal)))
        {
            Directory.Delete(later, recursive: true);
        }

        SupervisedReport[] rest = await Run(second, options with { Resume = true }, new DirectoryCheckpointStore(_folder.Path));
        Assert.Equal(whole[4..], rest.Select(report => report with { Checkpoint = null }));
        Assert.Equal(_policy.Weights(), second.Weights());

        await Run(exact, Options);
        Assert.NotEqual(exact.Weights(), _policy.Weights());
    }

    [Fact]
    public async Task RunAsync_starts_anew_when_resume_is_off_or_there_is_nothing_to_resume()
    {
        Assert.Equal(1, (await Run(_policy, Options with { Resume = true }, Store()))[0].Step);
        Assert.Equal(1, (await Run(_policy, Options, Store()))[0].Step);
        Assert.Empty(await Run(_policy, Options with { Resume = true }, Store())); // all nine steps are done
    }

    [Fact]
    public async Task RunAsync_writes_a_checkpoint_of_the_steps_done_when_canceled()
    {
        using var source = new CancellationTokenSource();
        int forwards = 0;
        _policy.OnLogProbs = () =>
        {
            if (++forwards == 5) // each step has two micro-batches: the third step has begun
            {
                source.Cancel();
            }
        };
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Run(_policy, Options, Store(), cancellationToken: source.Token));
        float[] weights = _policy.Weights();

        Assert.Equal(["save 2"], _log);
        using BigramPolicy loaded = Toy.Policy(seed: 99);
        loaded.Load(_folder["00002"]);
        Assert.Equal(weights, loaded.Weights());
    }

    [Theory]
    [InlineData(6UL, 3, 8, "with seed 5 but the options say 6")]
    [InlineData(5UL, 4, 8, "with batch size 3 but the options say 4")]
    [InlineData(5UL, 3, 7, "with 8 examples but there are 7")]
    public async Task RunAsync_refuses_a_checkpoint_whose_examples_came_in_another_order(
        ulong seed, int batchSize, int examples, string difference)
    {
        await Run(_policy, Options with { Steps = 3 }, Store());
        float[] weights = _policy.Weights();
        var trainer = new SupervisedTrainer(
            _policy, SupervisedTrainerTests.Data(Examples[..examples]),
            Options with { Seed = seed, BatchSize = batchSize, Resume = true }, new SupervisedServices { Checkpoints = Store() });

        var error = await Assert.ThrowsAsync<InvalidDataException>(
            async () => await trainer.RunAsync().GetAsyncEnumerator().MoveNextAsync());

        Assert.Equal(
            $"'{Path.Combine(_folder["00003"], "supervised_state.json")}' was written {difference}: the run could not continue exactly. "
            + "Use the same, or start a new run.",
            error.Message);
        Assert.Equal(weights, _policy.Weights());
    }

    [Theory]
    [InlineData("null", "is not a training state: it holds null.")]
    [InlineData("{}", "is not a training state: ")]
    [InlineData("""{"format":2,"step":1,"seed":5,"batch_size":3,"examples":8}""", "has format 2; this version reads format 1.")]
    [InlineData("""{"format":1,"step":-1,"seed":5,"batch_size":3,"examples":8}""", "counts -1 steps. The file is damaged.")]
    public async Task RunAsync_refuses_a_damaged_state(string json, string problem)
    {
        await Run(_policy, Options with { Steps = 3 }, Store());
        await File.WriteAllTextAsync(Path.Combine(_folder["00003"], "supervised_state.json"), json);

        var error = await Assert.ThrowsAsync<InvalidDataException>(() => Run(_policy, Options with { Resume = true }, Store()));

        Assert.Contains(problem, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task RunAsync_measures_the_held_out_loss_when_due_and_at_the_end()
    {
        SupervisedExample[] held = [.. Examples[..3], new(Prompt.Create("h", "hh"), "cab")];
        SupervisedReport[] with = await Run(_policy, Options with { EvaluateEvery = 4 }, held: held);
        using BigramPolicy other = Toy.Policy();
        SupervisedReport[] without = await Run(other, Options);

        Assert.Equal([4, 8, 9], with.Where(report => report.HeldOutLoss is not null).Select(report => report.Step));
        Assert.Equal(Loss(_policy, held), with[^1].HeldOutLoss!.Value, 1e-6);
        Assert.Equal(_policy.Weights(), other.Weights()); // measuring changes nothing
        Assert.Equal(without, with.Select(report => report with { HeldOutLoss = null }));
        Assert.All(without, report => Assert.Null(report.HeldOutLoss));
    }

    [Fact]
    public void MeasureHeldOutLoss_refuses_when_there_are_no_examples() => Assert.Equal(
        "There are no held-out examples. Set SupervisedData.HeldOut.",
        Assert.Throws<InvalidOperationException>(() => Trainer(_policy, Options).MeasureHeldOutLoss()).Message);

    [Fact]
    public async Task RunAsync_puts_examples_of_similar_length_together()
    {
        var widths = new List<long>();
        SupervisedExample[] examples =
            [.. new[] { 1, 9, 2, 8 }.Select((length, i) => new SupervisedExample(Prompt.Create($"l{i}", new string('a', length)), "b"))];
        using var measured = new WidthPolicy(_policy, widths);
        var trainer = new SupervisedTrainer(
            measured, SupervisedTrainerTests.Data(examples),
            new SupervisedOptions { Steps = 1, BatchSize = 4, MicroBatchSize = 2 });

        await foreach (SupervisedReport _ in trainer.RunAsync())
        {
            // One step.
        }

        Assert.Equal([9, 2], widths); // prompt columns: 9 and 8 letters, then 2 and 1
    }

    public void Dispose()
    {
        _policy.Dispose();
        _folder.Dispose();
    }

    private static async Task<SupervisedReport[]> Run(
        IPolicy policy, SupervisedOptions options, ICheckpointStore? store = null, IReadOnlyList<SupervisedExample>? held = null,
        CancellationToken cancellationToken = default)
    {
        var reports = new List<SupervisedReport>();
        await foreach (SupervisedReport report in Trainer(policy, options, store, held).RunAsync(cancellationToken))
        {
            reports.Add(report);
        }

        return [.. reports];
    }

    private static SupervisedTrainer Trainer(
        IPolicy policy, SupervisedOptions options, ICheckpointStore? store = null, IReadOnlyList<SupervisedExample>? held = null) => new(
        policy, SupervisedTrainerTests.Data(Examples) with { HeldOut = held ?? [] }, options,
        new SupervisedServices { Checkpoints = store });

    private RecordingStore Store() => new(_log, _folder.Path);

    /// <summary>By hand: the bigram's probabilities of the answer's letters and of the end.</summary>
    private static double Loss(BigramPolicy policy, IEnumerable<SupervisedExample> examples)
    {
        double[] losses =
        [
            .. examples.SelectMany(example =>
            {
                int[] ids =
                [
                    Toy.Tokenizer.Id(example.Prompt.Messages[^1].Text[^1]),
                    .. example.Completion.Select(Toy.Tokenizer.Id),
                    CharTokenizer.End,
                ];
                return ids.Zip(ids[1..], (last, next) => -Math.Log(policy.Probability(last, next)));
            }),
        ];
        return losses.Average();
    }

    /// <summary>Notes how wide the prompts of each micro-batch are.</summary>
    private sealed class WidthPolicy(BigramPolicy inner, List<long> widths) : IPolicy, IDisposable
    {
        public TorchSharp.torch.nn.Module Module => inner.Module;

        public TorchSharp.torch.Tensor LogProbs(TokenBatch batch, double temperature)
        {
            widths.Add(batch.PromptLength);
            return inner.LogProbs(batch, temperature);
        }

        public IDecodingSession StartDecoding(TokenBatch prompts, int groupSize, int maxNewTokens) =>
            inner.StartDecoding(prompts, groupSize, maxNewTokens);

        public void Save(string directory) => inner.Save(directory);

        public void Load(string directory) => inner.Load(directory);

        public void Dispose()
        {
            // The inner policy belongs to the test.
        }
    }
}

using System.Text.RegularExpressions;
using Grpo.Checkpoints;
using Grpo.Modeling;
using Grpo.Optimization;
using Grpo.Planning;
using Grpo.Testing;
using Grpo.Training;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Logging;

namespace Grpo.Core.Tests.Training;

/// <summary>Supervised training goes on only as the run that wrote the checkpoint.</summary>
public sealed class SupervisedIdentityTests : IDisposable
{
    private static readonly SupervisedOptions Options =
        new() { Steps = 2, BatchSize = 2, LearningRate = 0.1, CheckpointEvery = 1, Resume = true };

    private readonly TemporaryFolder _folder = new();
    private readonly ListLogger<SupervisedTrainer> _log = new();

    /// <summary>What changes, what it is called, and the difference; "…" stands for a hash.</summary>
    public static TheoryData<string, string, string> Changes => new()
    {
        { "weights", "parts", "model.weights was 100 numbers, SHA-256 … and is 100 numbers, SHA-256 …" },
        {
            "tokenizer", "parts",
            $"tokenizer was {typeof(SupervisedTrainerTests).FullName}+EndTokenizer and is "
                + $"{typeof(SupervisedIdentityTests).FullName}+OtherTokenizer"
        },
        { "template", "parts", "template.default system message was none and is Be brief." },
        { "examples", "options", "data set was 4 examples, SHA-256 … and is 4 examples, SHA-256 …" },
        { "learning rate", "options", "SupervisedOptions.LearningRate was 0.1 and is 0.2" },
        { "steps", "options", "SupervisedOptions.Steps was 2 and is 3" }, // the cosine ends elsewhere
        {
            "weights and learning rate", "options and parts",
            "SupervisedOptions.LearningRate was 0.1 and is 0.2; model.weights was 100 numbers"
        },
    };

    [Theory]
    [MemberData(nameof(Changes))]
    public async Task RunAsync_refuses_another_run_and_takes_it_when_allowed(string change, string what, string difference)
    {
        await RunAsync("nothing", Options);

        var error = await Assert.ThrowsAsync<InvalidDataException>(() => RunAsync(change, Options));
        Assert.Contains(
            $"' is of a run with other {what}, so going on would be neither that run nor this one: ", error.Message,
            StringComparison.Ordinal);
        Assert.Contains(difference, WithoutHashes(error.Message), StringComparison.Ordinal);
        Assert.Empty(_log.Entries);

        await RunAsync(change, Options with { AllowOptionChanges = true });
        (LogLevel level, int id, string text) = Assert.Single(_log.Entries);
        Assert.Equal((LogLevel.Warning, 39), (level, id));
        Assert.StartsWith($"Resumed with other {what}, as allowed: ", text, StringComparison.Ordinal);
        Assert.Contains(difference, WithoutHashes(text), StringComparison.Ordinal);
    }

    [Fact]
    public async Task RunAsync_goes_on_with_options_that_no_number_depends_on()
    {
        SupervisedOptions constant = Options with { Schedule = LearningRateSchedule.Constant };
        await RunAsync("nothing", constant);
        SupervisedOptions other = constant with
        {
            Steps = 4,
            CheckpointEvery = 3,
            EvaluateEvery = 2,
            MaxTokens = 4096,
            OptimizerMoments = OptimizerMoments.Host,
        };
        Assert.Equal(2, await RunAsync("nothing", other));
        Assert.Empty(_log.Entries);
    }

    [Fact]
    public async Task RunAsync_goes_on_from_a_checkpoint_of_before_with_a_warning()
    {
        await RunAsync("nothing", Options);
        string checkpoint = _folder["00002"];
        File.Delete(Path.Combine(checkpoint, SavedOptions.FileName)); // earlier versions wrote none

        Assert.Equal(0, await RunAsync("weights", Options));
        string warning = $"The checkpoint {checkpoint} does not say which options it was written with, so they were not compared.";
        Assert.Equal((LogLevel.Warning, 38, warning), Assert.Single(_log.Entries));
    }

    [Fact]
    public async Task A_trainer_says_what_is_missing_in_a_checkpoint_of_the_other()
    {
        await RunAsync("nothing", Options);
        using BigramPolicy policy = Toy.Policy();
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        var services = new TrainerServices { Checkpoints = new RecordingStore([], _folder.Path) };
        var trainer = new GrpoTrainer(optimizer, Toy.Prompts, new TrainerOptions { Steps = 3, Resume = true }, services);
        var error = await Assert.ThrowsAsync<FileNotFoundException>(() => trainer.TrainAsync());
        Assert.Contains("holds no training state: expected grpo_state.json", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_GRPO_run_after_supervised_training_is_known_by_the_weights_it_found()
    {
        using BigramPolicy policy = Toy.Policy(), loaded = Toy.Policy(seed: 12), replayed = Toy.Policy();
        await RunAsync(policy, Options with { Resume = false });
        policy.Save(_folder.Path); // what a later process loads
        loaded.Load(_folder.Path);
        for (int steps = 1; steps <= 2; steps++)
        {
            Assert.Equal(1, await TrainAsync(policy, steps)); // the second finds the weights that the first found
        }

        Assert.NotEqual(loaded.Weights(), policy.Weights());
        Assert.Equal(1, await TrainAsync(loaded, steps: 3));
        await Assert.ThrowsAsync<InvalidDataException>(() => TrainAsync(replayed, steps: 4));
    }

    [Fact]
    public async Task A_second_supervised_run_on_a_policy_is_known_by_the_weights_of_before_the_first()
    {
        SupervisedOptions constant = Options with { Schedule = LearningRateSchedule.Constant };
        using BigramPolicy policy = Toy.Policy(), again = Toy.Policy();
        await RunAsync(policy, constant);
        Assert.Equal(1, await RunAsync(policy, constant with { Steps = 3 }));
        Assert.Equal(1, await RunAsync(again, constant with { Steps = 4 }));
        Assert.Empty(_log.Entries);
    }

    [Fact]
    public async Task RunAsync_asks_what_its_plug_ins_are_before_a_step_and_only_with_a_store()
    {
        using BigramPolicy policy = Toy.Policy();
        float[] before = policy.Weights();
        await Assert.ThrowsAsync<NotSupportedException>(() => RunAsync(policy, Options, new UnknownTemplate()));
        Assert.Equal(before, policy.Weights());

        var trainer = new SupervisedTrainer(
            policy,
            SupervisedTrainerTests.Data(new SupervisedExample(Toy.Prompts[0], "ab")) with { Template = new UnknownTemplate() }, Options);
        Assert.Equal(2, await CountAsync(trainer));
    }

    public void Dispose() => _folder.Dispose();

    private async Task<long> TrainAsync(BigramPolicy policy, int steps)
    {
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        var services = new TrainerServices { Checkpoints = new DirectoryCheckpointStore(_folder["grpo"]) };
        var options = new TrainerOptions { Steps = steps, CheckpointEvery = 1, Resume = true };
        return (await new GrpoTrainer(optimizer, Toy.Prompts, options, services).TrainAsync()).Steps;
    }

    private Task<int> RunAsync(BigramPolicy policy, SupervisedOptions options, IChatTemplate? template = null)
    {
        SupervisedExample[] examples =
            [.. "abcd".Select((letter, i) => new SupervisedExample(Prompt.Create($"e{i}", $"{letter}"), "ab"))];
        var services = new SupervisedServices { Checkpoints = new RecordingStore([], _folder.Path) };
        return CountAsync(new SupervisedTrainer(
            policy, SupervisedTrainerTests.Data(examples) with { Template = template ?? new SystemTemplate(null) }, options, services,
            _log));
    }

    private static async Task<int> CountAsync(SupervisedTrainer trainer)
    {
        int steps = 0;
        await foreach (SupervisedReport _ in trainer.RunAsync())
        {
            steps++;
        }

        return steps;
    }

    private static string WithoutHashes(string text) => Regex.Replace(text, "SHA-256 [0-9a-f]{16}", "SHA-256 …");

    private async Task<int> RunAsync(string change, SupervisedOptions options)
    {
        using BigramPolicy policy = Toy.Policy(change.StartsWith("weights", StringComparison.Ordinal) ? 12UL : 11UL);
        ITokenizer tokenizer = new SupervisedTrainerTests.EndTokenizer();
        SupervisedExample[] examples = [.. "abcd".Select(
            (letter, i) => new SupervisedExample(Prompt.Create($"e{i}", $"{letter}"), change == "examples" && i == 3 ? "c" : "ab"))];
        SupervisedOptions changed = options with
        {
            Steps = change == "steps" ? 3 : options.Steps,
            LearningRate = change.EndsWith("learning rate", StringComparison.Ordinal) ? 0.2 : options.LearningRate,
        };
        tokenizer = change == "tokenizer" ? new OtherTokenizer(tokenizer) : tokenizer;
        var template = new SystemTemplate(change == "template" ? "Be brief." : null);
        var services = new SupervisedServices { Checkpoints = new RecordingStore([], _folder.Path) };
        var trainer = new SupervisedTrainer(policy, new SupervisedData(examples, tokenizer, template), changed, services, _log);
        int steps = 0;
        await foreach (SupervisedReport _ in trainer.RunAsync())
        {
            steps++;
        }

        return steps;
    }

    private sealed class OtherTokenizer(ITokenizer inner) : ITokenizer
    {
        public int VocabularySize => inner.VocabularySize;

        public IReadOnlySet<int> EndTokenIds => inner.EndTokenIds;

        public int PadTokenId => inner.PadTokenId;

        public IReadOnlyList<int> Encode(string text) => inner.Encode(text);

        public string Decode(IReadOnlyList<int> tokenIds, bool skipSpecialTokens = true) => inner.Decode(tokenIds, skipSpecialTokens);
    }

    private sealed class UnknownTemplate : IChatTemplate, IHasIdentity
    {
        public PlugInIdentity Identity => throw new NotSupportedException();

        public string Render(IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt = true) =>
            new SupervisedTrainerTests.EndTemplate().Render(messages, addGenerationPrompt);
    }

    /// <summary>A template that says of itself what its type does not tell.</summary>
    private sealed class SystemTemplate(string? system) : IChatTemplate, IHasIdentity
    {
        public PlugInIdentity Identity => new PlugInIdentity("plain").With("default system message", system);

        public string Render(IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt = true) =>
            new SupervisedTrainerTests.EndTemplate().Render(messages, addGenerationPrompt);
    }
}

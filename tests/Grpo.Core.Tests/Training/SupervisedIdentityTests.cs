using System.Text.RegularExpressions;
using Grpo.Testing;
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
            $"tokenizer was {typeof(SupervisedTrainerTests).FullName}+EndTokenizer and is {typeof(SupervisedIdentityTests).FullName}+OtherTokenizer"
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
            $"' is of a run with other {what}, so going on would be neither that run nor this one: ", error.Message, StringComparison.Ordinal);
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

    public void Dispose() => _folder.Dispose();

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
        var trainer = new SupervisedTrainer(policy, tokenizer, template, examples, changed, services, _log);
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

    /// <summary>A template that says of itself what its type does not tell.</summary>
    private sealed class SystemTemplate(string? system) : IChatTemplate, IHasIdentity
    {
        public PlugInIdentity Identity => new PlugInIdentity("plain").With("default system message", system);

        public string Render(IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt = true) =>
            new SupervisedTrainerTests.EndTemplate().Render(messages, addGenerationPrompt);
    }
}

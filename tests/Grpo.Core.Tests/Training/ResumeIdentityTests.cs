using System.Text.Json;
using System.Text.RegularExpressions;
using Grpo.Checkpoints;
using Grpo.Evaluation;
using Grpo.Modeling;
using Grpo.Testing;
using Grpo.Training;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Logging;

namespace Grpo.Core.Tests.Training;

/// <summary>A checkpoint knows the plug-ins of its run: one that goes on with others is refused, and each difference named.</summary>
[Trait("Speed", "Slow")]
public sealed class ResumeIdentityTests : IDisposable
{
    private static readonly TrainerOptions Trainer = new() { Steps = 2, CheckpointEvery = 1, Resume = true };

    private readonly TemporaryFolder _folder = new();
    private readonly ListLogger<GrpoTrainer> _log = new();

    public void Dispose() => _folder.Dispose();

    /// <summary>What changes, and the difference as the message tells it; "…" stands for a hash.</summary>
    public static TheoryData<string, string> Changes => new()
    {
        { "weights", "model.weights was 100 numbers, SHA-256 … and is 100 numbers, SHA-256 …" },
        { "vocabulary of the model", "model.weights was 100 numbers, SHA-256 … and is 121 numbers, SHA-256 …" },
        { "reference", "reference.weights was 100 numbers, SHA-256 … and is 100 numbers, SHA-256 …" },
        { "sampler", $"sampler was policy sampler and is {typeof(ResumeIdentityTests).FullName}+OtherSampler" },
        { "sampler's setting", "sampler.samples was none and is 8" },
        { "tokenizer", "sampler.tokenizer.tokens was 10 and is 11" },
        { "template", $"sampler.template was Grpo.Testing.PlainTemplate and is {typeof(ResumeIdentityTests).FullName}+OtherTemplate" },
        { "reward's type", $"reward.Letter was {typeof(Toy).FullName}+LetterReward and is delegate" },
        { "reward's name", "reward.name was Letter+Judge and is Letter+Other" },
        { "reward's weight", "reward.weight of Letter was 1 and is 2" },
        { "reward's order", "reward.name was Letter+Judge and is Judge+Letter" },
        { "reward's identity", "reward.Judge.identity was model-1 and is model-2" },
        { "reward's part", "reward.weight of Third was none and is 1" },
        { "cached reward's identity", "reward.Judge.identity was model-1 and is model-2" },
        { "fields", "data set.fields was none and is SHA-256 …" },
    };

    [Theory]
    [MemberData(nameof(Changes))]
    public async Task TrainAsync_refuses_another_plug_in_and_takes_it_when_allowed(string change, string difference)
    {
        await TrainAsync("nothing", Trainer);
        string before = Files();

        var error = await Assert.ThrowsAsync<InvalidDataException>(() => TrainAsync(change, Trainer));
        Assert.StartsWith(
            $"'{_folder["checkpoint-000002"]}' is of a run with other parts, so going on would be neither that run nor this one: ",
            error.Message, StringComparison.Ordinal);
        Assert.Contains(difference, WithoutHashes(error.Message), StringComparison.Ordinal);
        Assert.EndsWith(
            "Use the parts of the checkpoint, or another folder for a new run, or set AllowOptionChanges to go on with these.",
            error.Message, StringComparison.Ordinal);
        Assert.Equal(before, Files());
        Assert.DoesNotContain(_log.Entries, entry => entry.Level >= LogLevel.Warning);
        if (change == "vocabulary of the model")
        {
            return; // weights of another shape cannot be loaded into it
        }

        await TrainAsync(change, Trainer with { AllowOptionChanges = true });
        (_, int id, string text) = Assert.Single(_log.Entries, entry => entry.Level == LogLevel.Warning);
        Assert.Equal(39, id);
        Assert.StartsWith("Resumed with other parts, as allowed: ", text, StringComparison.Ordinal);
        Assert.Contains(difference, WithoutHashes(text), StringComparison.Ordinal);
    }

    [Fact]
    public async Task TrainAsync_goes_on_with_equal_plug_ins_of_other_objects()
    {
        await TrainAsync("nothing", Trainer);
        Assert.Equal(1, (await TrainAsync("nothing", Trainer with { Steps = 3 })).Steps);
        Assert.Equal(1, (await TrainAsync("a cache", Trainer with { Steps = 4 })).Steps); // it remembers what would be computed
        Assert.DoesNotContain(_log.Entries, entry => entry.Level >= LogLevel.Warning);
    }

    [Fact]
    public async Task TrainAsync_takes_what_was_allowed_as_the_run_from_then_on()
    {
        await TrainAsync("nothing", Trainer);
        await TrainAsync("reward's weight", Trainer with { Steps = 3, AllowOptionChanges = true });

        Assert.Equal(1, (await TrainAsync("reward's weight", Trainer with { Steps = 4 })).Steps);
        await Assert.ThrowsAsync<InvalidDataException>(() => TrainAsync("nothing", Trainer with { Steps = 5 }));
    }

    [Fact]
    public async Task TrainAsync_names_the_remedy_when_a_checkpoint_is_taken_for_the_model()
    {
        await TrainAsync("nothing", Trainer);
        var error = await Assert.ThrowsAsync<InvalidDataException>(() => TrainAsync("weights of the checkpoint", Trainer));
        Assert.Contains(
            ". Load the model that the run began with, and not one of its checkpoints: the trainer loads the checkpoint into it. ",
            error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_second_trainer_finds_the_weights_of_before_the_first()
    {
        using BigramPolicy policy = Toy.Policy(), reference = Toy.Policy(seed: 5);
        GrpoOptions moving = Toy.Options with { KlCoefficient = 0.1, ReferenceSyncEvery = 1 };
        float[] before = policy.Weights(), beforeOfReference = reference.Weights();
        for (int steps = 1; steps <= 3; steps++)
        {
            using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), moving, reference);
            Assert.Equal(1, (await NewTrainer(optimizer, steps).TrainAsync()).Steps);
        }

        Assert.NotEqual(before, policy.Weights());
        Assert.NotEqual(beforeOfReference, reference.Weights());
        using BigramPolicy again = Toy.Policy(), itsReference = Toy.Policy(seed: 5);
        using var inAnotherProcess = new GrpoOptimizer(again, Toy.Sampler, new Toy.LetterReward(), moving, itsReference);
        Assert.Equal(1, (await NewTrainer(inAnotherProcess, steps: 4).TrainAsync()).Steps);
    }

    [Fact]
    public async Task Steps_without_a_trainer_do_not_change_what_the_model_was()
    {
        using BigramPolicy policy = Toy.Policy();
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        await optimizer.StepAsync([Toy.Prompts[0]]);
        await NewTrainer(optimizer, steps: 2).TrainAsync();

        using BigramPolicy again = Toy.Policy();
        using var other = new GrpoOptimizer(again, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        Assert.Equal(1, (await NewTrainer(other, steps: 3).TrainAsync()).Steps);
    }

    [Fact]
    public async Task Another_evaluator_is_told_and_refused_only_where_it_may_roll_back()
    {
        string difference = "evaluator.prompts was 4 prompts, SHA-256 … and is 2 prompts, SHA-256 …";
        TrainerOptions rolling = Trainer with { EvaluateEvery = 1, Guard = new CollapseGuard { OnCollapse = CollapseAction.RollBack } };
        await TrainAsync("nothing", Trainer, Toy.Prompts);
        await TrainAsync("nothing", Trainer with { Steps = 3 }, [.. Toy.Prompts.Take(2)]);
        (_, int id, string text) = Assert.Single(_log.Entries, entry => entry.Level == LogLevel.Warning);
        Assert.Equal(56, id);
        Assert.Equal(
            $"Evaluations before and after the checkpoint cannot be compared with each other: {difference}.", WithoutHashes(text));

        await TrainAsync("nothing", rolling with { Steps = 4 }, [.. Toy.Prompts.Take(2)]);
        var error = await Assert.ThrowsAsync<InvalidDataException>(
            () => TrainAsync("nothing", rolling with { Steps = 5 }, [.. Toy.Prompts.Skip(2)]));
        Assert.Contains("evaluator.prompts was 2 prompts, ", error.Message, StringComparison.Ordinal);
        Assert.Single(_log.Entries, entry => entry.Id == 56);
    }

    [Theory]
    [InlineData(
        "evaluator's sampler",
        "evaluator.sampler was policy sampler and is best of; evaluator.sampler.inner was none and is policy sampler; ")]
    [InlineData("evaluator's tokenizer", "evaluator.sampler.tokenizer.tokens was 10 and is 11")]
    [InlineData("evaluator's fields", "evaluator.prompts.fields was none and is SHA-256 …")]
    public async Task Another_part_of_the_evaluator_is_told(string change, string difference)
    {
        await TrainAsync("nothing", Trainer, Toy.Prompts);
        await TrainAsync(change, Trainer with { Steps = 3 }, Toy.Prompts);
        (_, int id, string text) = Assert.Single(_log.Entries, entry => entry.Level == LogLevel.Warning);
        Assert.Equal(56, id);
        Assert.Contains(difference, WithoutHashes(text), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_plug_in_that_cannot_say_what_it_is_ends_no_run_without_a_store()
    {
        using BigramPolicy policy = Toy.Policy();
        using var optimizer = new GrpoOptimizer(policy, new UnknownSampler(), new Toy.LetterReward(), Toy.Options);
        Assert.Equal(2, (await new GrpoTrainer(optimizer, Toy.Prompts, new TrainerOptions { Steps = 2 }).TrainAsync()).Steps);

        await Assert.ThrowsAsync<NotSupportedException>(() => NewTrainer(optimizer, steps: 3).TrainAsync());
        Assert.Equal(2, optimizer.Step);
    }

    [Fact]
    public async Task A_policy_that_cannot_say_what_it_is_fails_before_the_rollout()
    {
        using BigramPolicy inner = Toy.Policy();
        var policy = new UnknownPolicy(inner);
        int scored = 0;
        var reward = new Toy.TestReward((_, _) => scored++);
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, reward, Toy.Options);
        await Assert.ThrowsAsync<NotSupportedException>(() => optimizer.StepAsync([Toy.Prompts[0]]));
        Assert.Equal(0, scored);
    }

    [Fact]
    public async Task A_checkpoint_holds_the_plug_ins_in_readable_form()
    {
        await TrainAsync("nothing", Trainer);
        string json = File.ReadAllText(_folder["checkpoint-000002/run_options.json"]);
        JsonElement identity = JsonDocument.Parse(json).RootElement.GetProperty("identity");
        Assert.Equal(
            [
                "model", "model.trained parameters", "model.weights", "reference", "reference.weights", "reward", "reward.Judge",
                "reward.Judge.identity", "reward.Judge.name", "reward.Letter", "reward.Letter.name", "reward.name",
                "reward.weight of Judge", "reward.weight of Letter", "sampler", "sampler.template", "sampler.tokenizer",
                "sampler.tokenizer.end tokens", "sampler.tokenizer.pad token", "sampler.tokenizer.tokens",
            ],
            identity.EnumerateObject().Select(fact => fact.Name).Order(StringComparer.Ordinal));
        Assert.Equal(
            ["Grpo.Testing.BigramPolicy", "1 of 1", "weighted sum", "0.5"],
            new[] { "model", "model.trained parameters", "reward", "reward.weight of Judge" }
                .Select(name => identity.GetProperty(name).GetString()));
    }

    private static string WithoutHashes(string text) => Regex.Replace(text, "SHA-256 [0-9a-f]{16}", "SHA-256 …");

    private string Files() => string.Join('\n', Directory.GetFiles(_folder.Path, "*", SearchOption.AllDirectories)
        .Order(StringComparer.Ordinal).Select(file => $"{file} {Convert.ToHexString(File.ReadAllBytes(file))}"));

    private GrpoTrainer NewTrainer(GrpoOptimizer optimizer, long steps) => new(
        optimizer, Toy.Prompts, Trainer with { Steps = steps },
        new TrainerServices { Checkpoints = new DirectoryCheckpointStore(_folder.Path) }, _log);

    private async Task<TrainingSummary> TrainAsync(string change, TrainerOptions options, IReadOnlyList<Prompt>? held = null)
    {
        using BigramPolicy policy = change == "vocabulary of the model"
            ? new BigramPolicy(Toy.Vocabulary + 1, 11)
            : Toy.Policy(change == "weights" ? 12UL : 11UL);
        using BigramPolicy reference = Toy.Policy(change == "reference" ? 6UL : 5UL);
        if (change == "weights of the checkpoint")
        {
            policy.Load(_folder["checkpoint-000002"]);
        }

        IGroupSampler sampler = held is null ? Sampler(change) : Toy.Sampler;
        using var optimizer = new GrpoOptimizer(policy, sampler, Reward(change), Toy.Options with { KlCoefficient = 0.1 }, reference);
        var fields = new Dictionary<string, string> { ["unit"] = "km" };
        held = change == "evaluator's fields" ? [.. held!.Select(prompt => prompt with { Fields = fields })] : held;
        Prompt[] prompts = [.. Toy.Prompts.Select(prompt => change == "fields" ? prompt with { Fields = fields } : prompt)];
        var evaluation = new EvaluationOptions { AccuracySampling = Toy.Options.Sampling.ToGreedy() };
        var services = new TrainerServices
        {
            Checkpoints = new DirectoryCheckpointStore(_folder.Path),
            Evaluator = held is null ? null : new RewardEvaluator(Sampler(change), new Toy.LetterReward(), held, evaluation),
        };
        return await new GrpoTrainer(optimizer, prompts, options, services, _log).TrainAsync();
    }

    private static IGroupSampler Sampler(string change) => change switch
    {
        "sampler" => new OtherSampler(),
        "sampler's setting" or "evaluator's sampler" => new BestOfSampler(),
        "tokenizer" or "evaluator's tokenizer" => new PolicyGroupSampler(new CharTokenizer("abcdefghi"), new PlainTemplate()),
        "template" => new PolicyGroupSampler(Toy.Tokenizer, new OtherTemplate()),
        _ => Toy.Sampler,
    };

    private static IRewardFunction Reward(string change)
    {
        IRewardFunction letter = change == "reward's type"
            ? RewardFunction.Create("Letter", new Toy.LetterReward().Score)
            : new Toy.LetterReward();
        IRewardFunction judge = RewardFunction.Create(
            change == "reward's name" ? "Other" : "Judge",
            (_, _) => 1.0,
            change.EndsWith("reward's identity", StringComparison.Ordinal) ? "model-2" : "model-1");
        if (change is "cached reward's identity" or "a cache")
        {
            judge = RewardFunction.Cached(judge, capacity: 10);
        }

        (IRewardFunction, double)[] parts = [(letter, change == "reward's weight" ? 2 : 1), (judge, 0.5)];
        return RewardFunction.WeightedSum(change switch
        {
            "reward's order" => [parts[1], parts[0]],
            "reward's part" => [.. parts, (RewardFunction.Create("Third", (_, _) => 0.0), 1)],
            _ => parts,
        });
    }

    private sealed class OtherSampler : IGroupSampler
    {
        public ValueTask<IReadOnlyList<RolloutGroup>> SampleAsync(
            IPolicy policy, RolloutRequest request, CancellationToken cancellationToken = default) =>
            Toy.Sampler.SampleAsync(policy, request, cancellationToken);
    }

    private sealed class UnknownPolicy(BigramPolicy inner) : IPolicy, IHasIdentity
    {
        public PlugInIdentity Identity => throw new NotSupportedException();

        public TorchSharp.torch.nn.Module Module => inner.Module;

        public TorchSharp.torch.Tensor LogProbs(TokenBatch batch, double temperature) => inner.LogProbs(batch, temperature);

        public IDecodingSession StartDecoding(TokenBatch prompts, int groupSize, int maxNewTokens) =>
            inner.StartDecoding(prompts, groupSize, maxNewTokens);

        public void Save(string directory) => inner.Save(directory);

        public void Load(string directory) => inner.Load(directory);
    }

    private sealed class UnknownSampler : IGroupSampler, IHasIdentity
    {
        public PlugInIdentity Identity => throw new NotSupportedException();

        public ValueTask<IReadOnlyList<RolloutGroup>> SampleAsync(
            IPolicy policy, RolloutRequest request, CancellationToken cancellationToken = default) =>
            Toy.Sampler.SampleAsync(policy, request, cancellationToken);
    }

    private sealed class BestOfSampler : IGroupSampler, IHasIdentity
    {
        public PlugInIdentity Identity => new PlugInIdentity("best of").With("samples", 8).WithPart("inner", Toy.Sampler);

        public ValueTask<IReadOnlyList<RolloutGroup>> SampleAsync(
            IPolicy policy, RolloutRequest request, CancellationToken cancellationToken = default) =>
            Toy.Sampler.SampleAsync(policy, request, cancellationToken);
    }

    private sealed class OtherTemplate : IChatTemplate
    {
        public string Render(IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt = true) =>
            new PlainTemplate().Render(messages, addGenerationPrompt);
    }
}

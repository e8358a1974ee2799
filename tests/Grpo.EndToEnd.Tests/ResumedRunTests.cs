using System.Text.RegularExpressions;
using Grpo.Checkpoints;
using Grpo.Modeling;
using Grpo.Models.Qwen;
using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Text;
using Grpo.Models.Qwen.Weights;
using Grpo.Rewards;
using Grpo.Tensors;
using Grpo.Testing;
using Grpo.Training;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using static TorchSharp.torch;

namespace Grpo.EndToEnd.Tests;

/// <summary>
/// A run of Qwen2 with the rewards of GSM8K that goes on with another model, tokenizer, reward, arithmetic or frozen set.
/// </summary>
public sealed partial class ResumedRunTests : IDisposable
{
    private static readonly DecoderConfig Config = new()
    {
        VocabularySize = 512,
        HiddenSize = 16,
        IntermediateSize = 24,
        LayerCount = 1,
        AttentionHeadCount = 2,
        KeyValueHeadCount = 1,
        TieWordEmbeddings = true,
    };

    // Of the configuration above: embeddings 8,192, attention 272 + 136 + 136 + 256, feed-forward 1,152, norms 48.
    private const string OtherWeights = "weights was 10,192 numbers, SHA-256 … and is 10,192 numbers, SHA-256 …";

    private static readonly LoraOptions Lora = new() { Rank = 2, Alpha = 4 };
    private static readonly Lazy<QwenTokenizer> Tokenizer = new(() => QwenTokenizer.Load(SampleProcess.TinyModel));
    private static readonly Prompt[] Prompts = [.. WordProblems.Generate(new WordProblemOptions { Count = 2 }).ToPrompts()];

    // What earns 0 is not told from what is not named.
    private static readonly Dictionary<Gsm8kVerdict, double?> OtherPay =
        new() { [Gsm8kVerdict.Correct] = 2, [Gsm8kVerdict.Truncated] = null, [Gsm8kVerdict.WrongNumber] = 0 };

    private readonly TemporaryFolder _folder = new();
    private readonly WarningLogger _log = new();

    /// <summary>A run, and one part of it that differs.</summary>
    internal sealed record Parts
    {
        public DecoderConfig Config { get; init; } = ResumedRunTests.Config;

        public ulong Seed { get; init; } = 1;

        public ulong ReferenceSeed { get; init; } = 2;

        public QwenTokenizer Tokenizer { get; init; } = ResumedRunTests.Tokenizer.Value;

        public string? SystemMessage { get; init; } = QwenChatTemplate.QwenSystemMessage;

        public IRewardFunction Reward { get; init; } = Sum(new Gsm8kReward());

        public ScalarType ComputeType { get; init; } = ScalarType.Float32;

        public ScalarType WeightType { get; init; } = ScalarType.Float32;

        public bool Int8Rollouts { get; init; }

        public bool FourBitBase { get; init; }

        public bool FreezeEmbeddings { get; init; }

        public LoraOptions? Lora { get; init; }

        public bool WrapsTokenizer { get; init; }
    }

    /// <summary>
    /// A change, the differences that the message must name ("…" stands for a hash), and whether the checkpoint's weights still fit.
    /// </summary>
    private static readonly (string Name, Parts Before, Parts After, string[] Differences, bool Fits)[] Changes =
    [
        ("other base weights", new(), new() { Seed = 3 }, ["model." + OtherWeights], true),
        ("other configuration", new(), new() { Config = Config with { RopeTheta = 20_000 } },
            ["model.config.rope_theta was 10000 and is 20000", "reference.config.rope_theta was 10000 and is 20000"], false),
        ("adapter over another base", new() { Lora = Lora }, new() { Lora = Lora, Seed = 3 },
            ["model." + OtherWeights, "reference." + OtherWeights], true),
        ("KL reference of another model", new(), new() { ReferenceSeed = 3 }, ["reference." + OtherWeights], true),
        ("other vocabulary", new(), new() { Tokenizer = BpeTrainer.Train(["to be or not to be"], 263) },
            [
                "sampler.tokenizer.end tokens was 509, 511 and is 260, 262",
                "sampler.tokenizer.merges was 253, SHA-256 … and is 4, SHA-256 …", "sampler.tokenizer.pad token was 509 and is 260",
                "sampler.tokenizer.vocabulary was 512, SHA-256 … and is 263, SHA-256 …",
            ], true),
        ("tokenizer of another type", new(), new() { WrapsTokenizer = true },
            ["sampler.tokenizer was Qwen2 and is Grpo.EndToEnd.Tests.ResumedRunTests+WrappedTokenizer"], true),
        ("other default system message", new(), new() { SystemMessage = "You are a cat." },
            ["default system message was You are Qwen, created by Alibaba Cloud. You are a helpful assistant. and is You are a cat."],
            true),
        ("no default system message", new() { SystemMessage = "You are a cat." }, new() { SystemMessage = null },
            ["sampler.template.default system message was You are a cat. and is none"], true),
        ("other reward type", new(), new() { Reward = new TheLmBookReward() }, ["reward was weighted sum and is theLMbook"], true),
        ("other reward weight", new(), new() { Reward = Sum(new Gsm8kReward(), 0.2) },
            ["reward.weight of Format was 0.1 and is 0.2"], true),
        ("other answer format", new(), new() { Reward = Sum(new Gsm8kReward(new Gsm8kRewardOptions { Format = AnswerFormat.Boxed })) },
            ["reward.Gsm8k.answer format was TagAnswer and is Boxed"], true),
        ("other pay", new(), new() { Reward = Sum(new Gsm8kReward(new Gsm8kRewardOptions { Values = OtherPay })) },
            ["reward.Gsm8k.Correct earns was 1 and is 2", "reward.Gsm8k.Truncated earns was none and is an abstention"], true),
        ("other length penalty", new() { Reward = new LengthPenaltyReward(10, 5) }, new() { Reward = new LengthPenaltyReward(10, 4) },
            ["reward.buffer tokens was 5 and is 4", "reward.free tokens was 5 and is 6"], true),
        ("other identity of a delegate", new() { Reward = Judge("model-1") }, new() { Reward = Judge("model-2") },
            ["reward.identity was model-1 and is model-2"], true),
        ("bfloat16", new(), new() { ComputeType = ScalarType.BFloat16 }, ["model.compute type was Float32 and is BFloat16"], true),
        ("weights in 16 bits below an adapter", new() { Lora = Lora }, new() { Lora = Lora, WeightType = ScalarType.BFloat16 },
            ["model.weight type was Float32 and is BFloat16", "model.compute type was Float32 and is BFloat16"], true),
        ("base in 4 bits", new() { Lora = Lora }, new() { Lora = Lora, FourBitBase = true },
            ["model.base in 4 bits was none and is NF4", "reference.base in 4 bits was none and is NF4"], true),
        ("rollouts in 8 bits", new(), new() { Int8Rollouts = true }, ["model.int8 rollouts was False and is True"], true),
        ("frozen embeddings", new(), new() { FreezeEmbeddings = true },
            ["model.trained parameters was 14 of 14 and is 13 of 14, without model.embed_tokens.weight"], true),
        ("adapter in place of the weights", new(), new() { Lora = Lora },
            ["model.lora.rank was none and is 2", "model.trained parameters was 14 of 14 and is 14 of 28, SHA-256 of their names …"],
            false),
        ("other rank", new() { Lora = Lora }, new() { Lora = Lora with { Rank = 4 } }, ["model.lora.rank was 2 and is 4"], false),
        ("other targets", new() { Lora = Lora }, new() { Lora = Lora with { TargetModules = ["v_proj", "q_proj"] } },
            [
                "model.lora.target modules was down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj and is q_proj, v_proj",
                "model.trained parameters was 14 of 28, ",
            ], false),
        ("other seed of the adapter", new() { Lora = Lora }, new() { Lora = Lora with { Seed = 5 } }, ["model.lora.seed was 0 and is 5"],
            true),
    ];

    public static TheoryData<string> Names => [.. Changes.Select(change => change.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public async Task TrainAsync_refuses_a_run_of_other_parts_unless_allowed(string name)
    {
        (_, Parts before, Parts after, string[] differences, bool fits) = Changes.Single(change => change.Name == name);
        await TrainAsync(before, steps: 1);
        Assert.Equal(1, (await TrainAsync(before, steps: 2)).Steps); // the same run in other objects
        Assert.Empty(_log.Warnings);

        string refused = (await Assert.ThrowsAsync<InvalidDataException>(() => TrainAsync(after, steps: 3))).Message;
        Assert.All(differences, difference => Assert.Contains(difference, WithoutHashes(refused), StringComparison.Ordinal));
        Assert.EndsWith("or set AllowOptionChanges to go on with these.", refused, StringComparison.Ordinal);

        if (fits)
        {
            await TrainAsync(after, steps: 2, allow: true);
        }
        else
        {
            // What was allowed is in the log; what the checkpoint holds does not fit, and loading says what.
            await Assert.ThrowsAnyAsync<Exception>(() => TrainAsync(after, steps: 2, allow: true));
        }

        string told = Assert.Single(_log.Warnings);
        Assert.StartsWith("Resumed with other parts, as allowed: ", told, StringComparison.Ordinal);
        Assert.All(differences, difference => Assert.Contains(difference, WithoutHashes(told), StringComparison.Ordinal));
    }

    [Fact]
    public async Task TrainAsync_goes_on_with_what_no_number_depends_on()
    {
        await TrainAsync(new Parts(), steps: 1);
        using QwenPolicy policy = Policy(new Parts());
        policy.Model.GradientCheckpointing = true;
        Assert.Equal(1, (await TrainAsync(new Parts(), steps: 2, policy: policy)).Steps);
        Assert.Empty(_log.Warnings);
    }

    [Fact]
    public void Identity_is_of_the_weights_and_not_of_their_files()
    {
        using QwenPolicy policy = Policy(new Parts());
        Directory.CreateDirectory(_folder["saved"]);
        policy.Save(_folder["saved"]);
        using QwenPretrained loaded = QwenPretrained.Load(SampleProcess.TinyModel);
        Directory.CreateDirectory(_folder["tiny"]);
        loaded.Policy.Save(_folder["tiny"]);                       // float32, where the original is stored in bfloat16
        using QwenPretrained again = QwenPretrained.Load(_folder["tiny"]);

        Assert.Equal(loaded.Policy.Identity.Facts, again.Policy.Identity.Facts);
        Assert.Equal(loaded.Tokenizer.Identity.Facts, again.Tokenizer.Identity.Facts);
        Assert.NotEqual(loaded.Policy.Identity.Facts, policy.Identity.Facts);
    }

    [Fact]
    public async Task Parts_that_a_container_makes_are_compared_too()
    {
        await TrainAsync(format: 0.1);
        Assert.Equal(1, (await TrainAsync(format: 0.1, steps: 2)).Steps);
        var error = await Assert.ThrowsAsync<InvalidDataException>(() => TrainAsync(format: 0.2, steps: 3));
        Assert.Contains(": reward.weight of Format was 0.1 and is 0.2. ", error.Message, StringComparison.Ordinal);

        async Task<TrainingSummary> TrainAsync(double format, long steps = 1)
        {
            var services = new ServiceCollection();
            services.AddGrpo(options =>
                {
                    options.GroupSize = 2;
                    options.PromptsPerStep = 1;
                    options.Sampling.MaxCompletionTokens = 3;
                })
                .UseQwen(SampleProcess.TinyModel)
                .UsePrompts(_ => Prompts)
                .UseCheckpoints(_ => new DirectoryCheckpointStore(_folder.Path))
                .AddReward<Gsm8kReward>()
                .AddReward<FormatReward>(format)
                .AddTrainer(trainer => (trainer.Steps, trainer.Resume) = (steps, true));
            using ServiceProvider provider = services.BuildServiceProvider();
            return await provider.GetRequiredService<GrpoTrainer>().TrainAsync();
        }
    }

    [Fact]
    public async Task A_second_trainer_finds_the_weights_of_before_the_first()
    {
        using QwenPolicy policy = Policy(new Parts()), again = Policy(new Parts());
        using QwenReferenceModel reference = QwenReferenceModel.CopyOf(policy), its = QwenReferenceModel.CopyOf(again);
        await TrainAsync(new Parts(), policy, reference, steps: 1);
        using (TensorScope.BeginNoGrad())
        {
            policy.Model.HeadWeight.add_(1);
            foreach ((_, TorchSharp.Modules.Parameter parameter) in reference.Module.named_parameters())
            {
                parameter.add_(1);
            }
        }

        Assert.Equal(1, (await TrainAsync(new Parts(), policy, reference, steps: 2)).Steps);
        Assert.Equal(1, (await TrainAsync(new Parts(), again, its, steps: 3)).Steps);
    }

    [Fact]
    public async Task A_run_after_supervised_training_goes_on_from_the_model_that_it_saved()
    {
        using QwenPolicy policy = Policy(new Parts()), loaded = Policy(new Parts { Seed = 99 });
        var examples = new[] { new SupervisedExample(Prompts[0], "42") };
        var options = new SupervisedOptions { Steps = 1, BatchSize = 1, LearningRate = 0.01 };
        var supervised = new SupervisedTrainer(policy, new SupervisedData(examples, Tokenizer.Value, new QwenChatTemplate()), options);
        await foreach (SupervisedReport _ in supervised.RunAsync())
        {
            // One step.
        }

        Directory.CreateDirectory(_folder["trained"]);
        policy.Save(_folder["trained"]);
        loaded.Load(_folder["trained"]);
        using QwenReferenceModel reference = QwenReferenceModel.CopyOf(policy), its = QwenReferenceModel.CopyOf(loaded);
        await TrainAsync(new Parts(), policy, reference, steps: 1);
        Assert.Equal(1, (await TrainAsync(new Parts(), loaded, its, steps: 2)).Steps);
    }

    public void Dispose() => _folder.Dispose();

    private static IRewardFunction Sum(IRewardFunction judge, double format = 0.1) =>
        RewardFunction.WeightedSum((judge, 1), (new FormatReward(), format));

    private static IRewardFunction Judge(string model) =>
        RewardFunction.Create("Judge", (_, completion) => completion.TokenIds.Count, model);

    private static string WithoutHashes(string text) => Hash().Replace(text, "…");

    private static QwenPolicy Policy(Parts parts)
    {
        var model = CausalLM.Initialize(parts.Config, parts.Seed);
        if (parts.WeightType != ScalarType.Float32)
        {
            using CausalLM original = model;
            model = original.Clone(type: parts.WeightType);
        }
        else
        {
            model.ComputeType = parts.ComputeType;
        }

        if (parts.FourBitBase)
        {
            using CausalLM numbers = model;
            string folder = Directory.CreateTempSubdirectory("grpo-base-").FullName;
            QwenWeights.Save(numbers, folder);
            model = QwenWeights.LoadInFourBits(folder);
            Directory.Delete(folder, recursive: true);
        }

        if (parts.Lora is { } lora)
        {
            model.AddAdapter(lora);
        }

        if (parts.FreezeEmbeddings)
        {
            model.FreezeEmbeddings();
        }

        return new QwenPolicy(model) { Int8Rollouts = parts.Int8Rollouts };
    }

    private async Task<TrainingSummary> TrainAsync(Parts parts, long steps, bool allow = false, QwenPolicy? policy = null)
    {
        using QwenPolicy own = policy ?? Policy(parts);
        using QwenReferenceModel? frozen = parts.Lora is null
            ? new QwenReferenceModel(CausalLM.Initialize(parts.Config, parts.ReferenceSeed))
            : null;
        IReferenceModel reference = frozen ?? (IReferenceModel)new AdapterOffReference(own);
        return await TrainAsync(parts, own, reference, steps, allow);
    }

    private async Task<TrainingSummary> TrainAsync(
        Parts parts, QwenPolicy policy, IReferenceModel reference, long steps, bool allow = false)
    {
        ITokenizer tokenizer = parts.WrapsTokenizer ? new WrappedTokenizer(parts.Tokenizer) : parts.Tokenizer;
        var sampler = new PolicyGroupSampler(tokenizer, new QwenChatTemplate(parts.SystemMessage));
        var sampling = new SamplingOptions { MaxCompletionTokens = 3 };
        // The rate is set, because its default depends on whether an adapter is trained.
        var options = new GrpoOptions
        {
            GroupSize = 2,
            PromptsPerStep = 1,
            KlCoefficient = 0.04,
            LearningRate = 1e-6,
            Sampling = sampling,
        };
        using var optimizer = new GrpoOptimizer(policy, sampler, parts.Reward, options, reference);
        var trainer = new TrainerOptions { Steps = steps, Resume = true, AllowOptionChanges = allow };
        var services = new TrainerServices { Checkpoints = new DirectoryCheckpointStore(_folder.Path) };
        return await new GrpoTrainer(optimizer, Prompts, trainer, services, _log).TrainAsync();
    }

    [GeneratedRegex("(?<=SHA-256 |names )[0-9a-f]{16}")]
    private static partial Regex Hash();

    private sealed class WarningLogger : ILogger<GrpoTrainer>
    {
        public List<string> Warnings { get; } = [];

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Warning;

        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (logLevel >= LogLevel.Warning)
            {
                Warnings.Add(formatter(state, exception));
            }
        }
    }

    /// <summary>A tokenizer of one's own that says nothing of its identity.</summary>
    private sealed class WrappedTokenizer(ITokenizer inner) : ITokenizer
    {
        public int VocabularySize => inner.VocabularySize;

        public IReadOnlySet<int> EndTokenIds => inner.EndTokenIds;

        public int PadTokenId => inner.PadTokenId;

        public IReadOnlyList<int> Encode(string text) => inner.Encode(text);

        public string Decode(IReadOnlyList<int> tokenIds, bool skipSpecialTokens = true) => inner.Decode(tokenIds, skipSpecialTokens);
    }
}

using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Tests.Text;
using Grpo.Tensors;
using Grpo.Training;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

/// <summary>Adapters in the real loop: sampler, reward, KL against the base, update, checkpoint.</summary>
[Collection(LiveTensors.Name)]
public sealed class LoraTrainingTests
{
    private static readonly QwenTokenizer Tokenizer = TinyTokenizer.Load(TinyTokenizer.TokenizerJson());

    [Theory]
    [InlineData("qwen2")]
    [InlineData("qwen3")]
    [InlineData("llama with biases")]
    [InlineData("qwen2", true)]
    public async Task A_resumed_run_equals_an_uninterrupted_one_bit_for_bit(string family, bool fourBits = false)
    {
        using TemporaryFolder folder = new();
        using QwenPolicy policy = Policy(null, family, fourBits), resumed = Policy(null, family, fourBits);
        using (GrpoOptimizer optimizer = Optimizer(policy))
        {
            await StepsAsync(optimizer, 2);
            optimizer.Save(folder.Path);
            await StepsAsync(optimizer, 2);
        }

        using (GrpoOptimizer optimizer = Optimizer(resumed))
        {
            optimizer.Load(folder.Path);
            Assert.Equal(2, optimizer.Step);
            await StepsAsync(optimizer, 2);
        }

        using var scope = TensorScope.BeginNoGrad();
        LoraModels.AssertSame(LoraModels.Weights(policy.Model), resumed.Model);
        using SafetensorsReader moments = SafetensorsReader.Open(folder.File("optimizer.safetensors"));
        Assert.Equal(2 * 28, moments.Entries.Count); // of A and B alone
        Assert.False(File.Exists(folder.File("model.safetensors")));
    }

    [Fact]
    public async Task Training_moves_the_adapter_away_from_the_base_and_leaves_the_base_as_it_was()
    {
        using QwenPolicy policy = Policy();
        using CausalLM untouched = Model();
        using GrpoOptimizer optimizer = Optimizer(policy);
        IReadOnlyList<StepReport> reports = await StepsAsync(optimizer, 3);
        double[] kl = [.. reports.Select(report => report.Updates[0].Kl!.Value)];

        Assert.Equal(0, kl[0], 1e-12); // B is zero: policy and reference are one
        Assert.True(kl[1] > 1e-6 && kl[2] > kl[1], $"KL {kl[0]}, {kl[1]}, {kl[2]}");
        using var scope = TensorScope.BeginNoGrad();
        Dictionary<string, Tensor> after = LoraModels.Weights(policy.Model);
        Assert.All(untouched.named_parameters(), named => TensorAssert.Identical(named.parameter, after[named.name], named.name));
        Assert.All(
            after.Where(entry => entry.Key.EndsWith("lora_B.weight", StringComparison.Ordinal)),
            entry => Assert.True(entry.Value.abs().max().item<float>() > 0, entry.Key));
    }

    [Fact]
    public void The_base_cannot_be_moved_toward_the_policy()
    {
        using QwenPolicy policy = Policy();
        var options = new GrpoOptions { KlCoefficient = 0.04, ReferenceSyncEvery = 1 };
        ErrorAssert.Says<InvalidOperationException>(
            "AdapterOffReference has no weights that could be moved",
            () => _ = new GrpoOptimizer(policy, Sampler(), new EvenReward(), options, new AdapterOffReference(policy)));
    }

    [Fact]
    public void A_merged_policy_has_nothing_to_train()
    {
        using QwenPolicy policy = Policy();
        policy.MergeAdapter();
        ErrorAssert.Says<InvalidOperationException>("nothing to train", () => _ = new GrpoOptimizer(policy, Sampler(), new EvenReward()));
    }

    [Fact]
    public void Live_tensors_do_not_grow()
    {
        using QwenPolicy policy = Policy();
        using GrpoOptimizer optimizer = Optimizer(policy);
        Assert.Equal(0, LiveTensors.GrowthOf(() => StepsAsync(optimizer, 1).GetAwaiter().GetResult()));
    }

    [Fact]
    public void Merging_unmerging_saving_and_loading_leave_no_tensor_behind()
    {
        using TemporaryFolder folder = new();
        using QwenPolicy policy = LoraModels.Policy();
        Assert.Equal(0, LiveTensors.GrowthOf(() =>
        {
            policy.Save(folder.Path);
            policy.Load(folder.Path);
            policy.MergeAdapter();
            policy.UnmergeAdapter();
        }));
    }

    [Fact]
    public void A_model_that_is_freed_while_merged_frees_the_originals()
    {
        // A new parameter counts twice until the handle that it was made of is collected, so the two are compared.
        long plain = LiveTensors.GrowthOf(() => LoraModels.Policy().Dispose());
        Assert.Equal(plain, LiveTensors.GrowthOf(() =>
        {
            using QwenPolicy policy = LoraModels.Policy();
            policy.MergeAdapter();
        }));
    }

    [Fact]
    public async Task Supervised_training_works_with_dropout()
    {
        using QwenPolicy policy = Policy(new LoraOptions { Rank = 8, Dropout = 0.1 });
        SupervisedExample[] examples = [new(Prompt.Create("a", "hello"), "hehe"), new(Prompt.Create("b", "hel"), "he")];
        var trainer = new SupervisedTrainer(
            policy, new SupervisedData(examples, Tokenizer, new QwenChatTemplate()),
            new SupervisedOptions { Steps = 40, BatchSize = 2, LearningRate = 1e-2, WarmupSteps = 0 });
        var losses = new List<double>();
        await foreach (SupervisedReport report in trainer.RunAsync())
        {
            losses.Add(report.Loss);
        }

        Assert.True(losses[^1] < 0.7 * losses[0], $"loss {losses[0]}, then {losses[^1]}");
    }

    private static CausalLM Model(string family = "qwen2") =>
        CausalLM.Initialize(TinyModels.Config(family: family) with { VocabularySize = 264, InitializerRange = 0.1 }, seed: 7);

    private static QwenPolicy Policy(LoraOptions? options = null, string family = "qwen2", bool fourBits = false)
    {
        CausalLM model = Model(family);
        if (fourBits)
        {
            using CausalLM numbers = model;
            model = new CausalLM(numbers.Config, fourBitBase: true);
            model.CopyWeightsFrom(numbers);
        }

        model.AddAdapter(options ?? LoraModels.Options);
        return new QwenPolicy(model);
    }

    private static PolicyGroupSampler Sampler() => new(Tokenizer, new QwenChatTemplate());

    private static GrpoOptimizer Optimizer(QwenPolicy policy) => new(
        policy, Sampler(), new EvenReward(),
        new GrpoOptions
        {
            GroupSize = 4,
            PromptsPerStep = 2,
            KlCoefficient = 0.04,
            LearningRate = 1e-2,
            MicroBatchSize = 3,
            Seed = 11,
            Sampling = new SamplingOptions { MaxCompletionTokens = 8 },
        },
        new AdapterOffReference(policy));

    private static async Task<IReadOnlyList<StepReport>> StepsAsync(GrpoOptimizer optimizer, int steps)
    {
        var reports = new List<StepReport>();
        for (int i = 0; i < steps; i++)
        {
            reports.Add(await optimizer.StepAsync([Prompt.Create("a", "hello"), Prompt.Create("b", "hel")]));
        }

        return reports;
    }

    /// <summary>Pays for even token ids: something that every group differs in.</summary>
    private sealed class EvenReward : CompletionReward
    {
        public override Reward Score(Prompt prompt, Completion completion) => completion.TokenIds.Average(id => 1.0 - (id % 2));
    }
}

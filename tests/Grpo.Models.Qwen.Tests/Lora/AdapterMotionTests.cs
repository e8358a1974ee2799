using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Tests.Quantization;
using Grpo.Models.Qwen.Tests.Text;
using Grpo.Tensors;
using Microsoft.Extensions.Logging;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

/// <summary>The learning rate of adapters: its default, its place in plan and options, and the warning if nothing moves.</summary>
[Collection(LiveTensors.Name)]
public sealed class AdapterMotionTests
{
    private static readonly QwenTokenizer Tokenizer = TinyTokenizer.Load(TinyTokenizer.TokenizerJson());
    private static readonly PolicyGroupSampler Sampler = new(Tokenizer, new QwenChatTemplate(defaultSystemMessage: null));

    [Fact]
    public void Unset_rate_is_ten_times_higher_for_an_adapter()
    {
        using QwenPolicy adapter = LoraModels.Policy(), full = new(TinyModels.Create());
        using GrpoOptimizer ofAdapter = Optimizer(adapter, new GrpoOptions()), ofFull = Optimizer(full, new GrpoOptions());

        Assert.Equal((1e-5, 1e-6), (ofAdapter.Options.LearningRate, ofFull.Options.LearningRate));
        Assert.Equal("1E-05, the default of adapters: ten times that of full training", ofAdapter.Explain().LearningRate.ToString());
        Assert.Contains(
            "\nlearning rate 1E-05, the default of adapters: ten times that of full training\n", ofAdapter.Explain().ToString(),
            StringComparison.Ordinal);
        Assert.Contains("AdamW, learning rate 1E-05 constant", ofAdapter.Explain().ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("\nlearning rate", ofFull.Explain().ToString(), StringComparison.Ordinal);
        Assert.Contains("AdamW, learning rate 1E-06 constant", ofFull.Explain().ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Set_rate_is_left_alone()
    {
        using QwenPolicy policy = LoraModels.Policy();
        using GrpoOptimizer optimizer = Optimizer(policy, new GrpoOptions { LearningRate = 1e-6 });

        Assert.Equal(1e-6, optimizer.Options.LearningRate);
        Assert.Contains(
            "\nlearning rate 1E-06, as set; adapters want about ten times the rate of full training\n", optimizer.Explain().ToString(),
            StringComparison.Ordinal);
    }

    // ‖scale · B · A‖ against ‖W‖ / √min(in, out), from the product itself.
    [Theory]
    [InlineData(0.999, true)]
    [InlineData(1.001, false)]
    public void HasMoved_compares_the_largest_update_with_its_weight(double factor, bool moved)
    {
        using QwenPolicy policy = LoraModels.Policy();
        using var scope = TensorScope.BeginNoGrad();
        Dictionary<string, Tensor> weights = LoraModels.Weights(policy.Model);
        double largest = weights.Keys.Where(name => name.EndsWith(".lora_A.weight", StringComparison.Ordinal)).Max(name =>
        {
            string layer = name[..^".lora_A.weight".Length];
            Tensor weight = weights[$"{layer}.weight"];
            Tensor product = weights[$"{layer}.lora_B.weight"].mm(weights[name]) * LoraModels.Options.Scale;
            return product.norm().item<float>() * Math.Sqrt(weight.shape.Min()) / weight.norm().item<float>();
        });

        Assert.Equal(moved, policy.HasMoved(factor * largest));
    }

    // The norm of a packed weight is that of the numbers it stands for.
    [Fact]
    public void HasMoved_reads_a_base_in_four_bits()
    {
        using QwenPolicy packed = FourBitModels.Policy();
        using QwenPolicy same = packed.Dequantize();
        double[] fractions = [.. Enumerable.Range(-60, 80).Select(power => Math.Pow(2, power / 4.0))];
        bool[] moved = [.. fractions.Select(packed.HasMoved)];

        Assert.Equal(fractions.Select(same.HasMoved), moved);
        Assert.Contains(true, moved);
        Assert.Contains(false, moved);
    }

    [Fact]
    public void HasMoved_is_false_for_a_fresh_adapter_and_for_none()
    {
        using QwenPolicy fresh = LoraModels.Policy(trained: false), none = new(TinyModels.Create());
        Assert.False(fresh.HasMoved(1e-30));
        Assert.False(none.HasMoved(1e-30));
        Assert.Equal((true, false), (fresh.TrainsAdapter, none.TrainsAdapter));
        Assert.Throws<ArgumentOutOfRangeException>(() => fresh.HasMoved(0));
    }

    [Theory]
    [InlineData(1e-9, "LearningRate is 1E-09; adapters want about ten times the rate of full training. Try 1E-05.")]
    [InlineData(1e-3, null)]
    public async Task Step_warns_once_when_the_adapter_does_not_move(double rate, string? warning)
    {
        CausalLM model = CausalLM.Initialize(TinyModels.Config() with { VocabularySize = 264, InitializerRange = 0.1 }, seed: 7);
        model.AddAdapter(LoraModels.Options);
        using var policy = new QwenPolicy(model);
        var log = new WarningLog();
        // 25 optimizer steps per step of the run: the 50th belongs to the second step.
        using GrpoOptimizer optimizer = Optimizer(policy, Small with { LearningRate = rate, UpdatesPerRollout = 25 }, log);
        var warnings = new List<(long Step, string Text)>();
        for (int i = 0; i < 2; i++)
        {
            StepReport report = await optimizer.StepAsync([Prompt.Create("a", "hello")]);
            Assert.Equal(25, report.Updates.Count);
            warnings.AddRange(report.Updates.Select(update => update.AdapterWarning).OfType<string>().Select(text => (report.Step, text)));
        }

        Assert.Equal(warning is null ? [] : [2L], warnings.Select(entry => entry.Step));
        Assert.All(warnings, entry => Assert.EndsWith(warning!, entry.Text, StringComparison.Ordinal));
        Assert.Equal(
            warning is null ? 0 : 1,
            log.Warnings.Count(text => text.StartsWith("Step 2: The adapter does not move: after 50 optimizer", StringComparison.Ordinal)));
    }

    private static GrpoOptions Small => new()
    {
        GroupSize = 2,
        PromptsPerStep = 1,
        MaxGradientNorm = null,
        GradientSpikeFactor = null,
        Sampling = new SamplingOptions { MaxCompletionTokens = 4, MaxPromptTokens = 32 },
    };

    private static GrpoOptimizer Optimizer(QwenPolicy policy, GrpoOptions options, ILogger<GrpoOptimizer>? log = null) =>
        new(new GrpoPlugIns(policy, Sampler, new EvenReward()), options, log);

    private sealed class WarningLog : ILogger<GrpoOptimizer>
    {
        public List<string> Warnings { get; } = [];

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel level) => level == LogLevel.Warning;

        public void Log<TState>(
            LogLevel level, EventId id, TState state, Exception? exception, Func<TState, Exception?, string> format) =>
            Warnings.Add(format(state, exception));
    }

    /// <summary>The share of even ids: groups always differ, so that every step has a gradient.</summary>
    private sealed class EvenReward : CompletionReward
    {
        public override Reward Score(Prompt prompt, Completion completion) =>
            (completion.TokenIds.Count(id => id % 2 == 0) + (completion.TokenIds[0] / 1000.0)) / completion.TokenIds.Count;
    }
}

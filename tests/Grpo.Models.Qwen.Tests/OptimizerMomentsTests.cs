using Grpo.Modeling;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Tests.Text;
using Grpo.Planning;
using Grpo.Tensors;
using Grpo.Training;

namespace Grpo.Models.Qwen.Tests;

/// <summary>Training a whole model with moments in 8 bits, beside float32.</summary>
[Trait("Speed", "Slow")]
public sealed class OptimizerMomentsTests
{
    private static readonly QwenTokenizer Tokenizer = TinyTokenizer.Load(TinyTokenizer.TokenizerJson());

    [Fact]
    public async Task Supervised_training_reaches_nearly_the_same_loss()
    {
        double[] exact = await LossesAsync(OptimizerMoments.Float32), host = await LossesAsync(OptimizerMoments.Host),
            rounded = await LossesAsync(OptimizerMoments.Int8);
        Assert.Equal(exact, host);
        Assert.NotEqual(exact, rounded);
        Assert.True(exact[^1] < 0.6 * exact[0], $"{exact[0]}, then {exact[^1]}");
        Assert.InRange(rounded[^1] / exact[^1], 0.95, 1.05);
    }

    [Fact]
    public async Task A_resumed_run_equals_an_uninterrupted_one_bit_for_bit()
    {
        using TemporaryFolder folder = new();
        using QwenPolicy policy = Policy(), resumed = Policy(seed: 8);
        using (GrpoOptimizer optimizer = Optimizer(policy))
        {
            await StepsAsync(optimizer, 2);
            optimizer.Save(folder.Path);
            await StepsAsync(optimizer, 2);
        }

        using (GrpoOptimizer optimizer = Optimizer(resumed))
        {
            optimizer.Load(folder.Path);
            await StepsAsync(optimizer, 2);
        }

        using var scope = TensorScope.BeginNoGrad();
        Assert.All(
            policy.Module.named_parameters().Zip(resumed.Module.parameters()),
            pair => TensorAssert.Identical(pair.First.parameter, pair.Second, pair.First.name));
        using SafetensorsReader moments = SafetensorsReader.Open(folder.File("optimizer.safetensors"));
        Assert.DoesNotContain(moments.Entries.Keys, name => name.StartsWith("exp_avg.", StringComparison.Ordinal));
        Assert.Equal(4 * policy.TrainedParameters().Count, moments.Entries.Count); // codes and scales of both
    }

    private static async Task<double[]> LossesAsync(OptimizerMoments moments)
    {
        using QwenPolicy policy = Policy();
        SupervisedExample[] examples =
            [.. "abcdefgh".Select((letter, i) => new SupervisedExample(Prompt.Create($"e{i}", $"hel{letter}"), $"{letter}he"))];
        var options = new SupervisedOptions { Steps = 30, BatchSize = 4, LearningRate = 5e-3, OptimizerMoments = moments };
        var losses = new List<double>();
        await foreach (SupervisedReport report in new SupervisedTrainer(
            policy, new SupervisedData(examples, Tokenizer, new QwenChatTemplate()) { HeldOut = examples }, options).RunAsync())
        {
            losses.Add(report.HeldOutLoss ?? report.Loss); // the last one over all examples
        }

        return [.. losses];
    }

    private static QwenPolicy Policy(ulong seed = 7) =>
        new(CausalLM.Initialize(TinyModels.Config() with { VocabularySize = 264, InitializerRange = 0.1 }, seed));

    private static GrpoOptimizer Optimizer(QwenPolicy policy) =>
        new(policy, new PolicyGroupSampler(Tokenizer, new QwenChatTemplate()), new EvenReward(), new GrpoOptions
        {
            GroupSize = 4,
            PromptsPerStep = 2,
            LearningRate = 1e-2,
            OptimizerMoments = OptimizerMoments.Int8,
            Sampling = new SamplingOptions { MaxCompletionTokens = 8 },
        });

    private static async Task StepsAsync(GrpoOptimizer optimizer, int steps)
    {
        for (int i = 0; i < steps; i++)
        {
            await optimizer.StepAsync([Prompt.Create("a", "hello"), Prompt.Create("b", "hel")]);
        }
    }

    private sealed class EvenReward : CompletionReward
    {
        public override Reward Score(Prompt prompt, Completion completion) => completion.TokenIds.Average(id => 1.0 - (id % 2));
    }
}

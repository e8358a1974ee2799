using Grpo.Losses;
using Grpo.Models.Qwen;
using Grpo.Rewards;
using Grpo.Snippets;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.EndToEnd.Tests;

/// <summary>The objective and the advantage that docs/variants.md writes as a user would, outside Core.</summary>
public sealed class UserMethodTests
{
    [Fact]
    public async Task Objective_and_advantage_of_the_user_train_the_samples_model()
    {
        using QwenPretrained qwen = QwenPretrained.Load(SampleProcess.TinyModel);
        float[][] before = Weights(qwen);
        GrpoOptions options = Methods.Own() with
        {
            GroupSize = 8,
            PromptsPerStep = 4,
            LearningRate = 1e-4,
            Sampling = new SamplingOptions { MaxCompletionTokens = 64 },
        };
        using var optimizer = new GrpoOptimizer(
            qwen.Policy, new PolicyGroupSampler(qwen.Tokenizer, qwen.ChatTemplate),
            RewardFunction.WeightedSum((new Gsm8kReward(), 1), (new LengthPenaltyReward(maxTokens: 64, bufferTokens: 48), 0.1)), options);
        Prompt[] problems =
        [
            .. WordProblems.Generate(new WordProblemOptions { Count = 8, MaxSteps = 2, SystemPrompt = "Solve step by step." }).ToPrompts(),
        ];

        var updates = new List<UpdateReport>();
        await foreach (TrainingStep step in new GrpoTrainer(optimizer, problems, new TrainerOptions { Steps = 2 }).RunAsync())
        {
            updates.AddRange(step.Report.Updates);
        }

        Assert.Equal(4, updates.Count); // 2 steps of 2 updates: in the second of each the ratio is not 1
        Assert.All(updates, update =>
        {
            Assert.True(double.IsFinite(update.Loss));
            Assert.True(update.GradientNorm > 0);
            Assert.Null(update.Clip); // it overrides no ClipCounts
        });
        Assert.Contains(before.Zip(Weights(qwen)), pair => !pair.First.SequenceEqual(pair.Second));
    }

    [Fact]
    public void SimplePolicyObjective_is_least_at_the_edge_of_its_range()
    {
        using var scope = TensorScope.Begin();
        Tensor ratios = tensor(new float[,] { { 1, 1.2f, 1.4f }, { 1, 0.8f, 0.6f } });              // [B, C]
        Tensor logProbs = ratios.log();
        logProbs.requires_grad = true;
        Tensor perToken = new SimplePolicyObjective().PerToken(
            new ObjectiveInputs(logProbs, zeros_like(ratios), tensor(new float[] { 2, -1 }), ones_like(ratios)));
        perToken.sum().backward();

        // |A|·(w − 1)²/0.4 − w·A, and by log π: w·(|A|·(w − 1)/0.2 − A)
        Near([-2, -2.2, -2, 1, 0.9, 1], perToken);
        Near([-2, 0, 2.8, 1, 0, -0.6], logProbs.grad!);
    }

    [Fact]
    public void MedianCenteredAdvantage_takes_the_middle_of_the_group() => Assert.Equal(
        [[1, 0, 0, 0], [-1.5, -0.5, 0.5, 5.5], [0, 0]],
        new MedianCenteredAdvantage().Compute([Group(1, 0, 0, 0), Group(1, 2, 3, 8), Group(0.1, 0.1)]));

    private static AdvantageGroup Group(params double[] rewards) =>
        new([.. rewards.Select(reward => (double?)reward)], [.. rewards.Select(_ => 1)]);

    private static void Near(double[] expected, Tensor actual) =>
        Assert.All(expected.Zip(actual.data<float>()), pair => Assert.Equal(pair.First, pair.Second, tolerance: 1e-5));

    private static float[][] Weights(QwenPretrained qwen) =>
        [.. qwen.Policy.Module.parameters().Select(parameter => parameter.detach().data<float>().ToArray())];
}

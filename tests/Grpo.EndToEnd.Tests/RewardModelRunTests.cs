using System.Text.Json.Nodes;
using Grpo.Models.Qwen;
using Grpo.Rewards;
using Grpo.Tensors;
using Grpo.Testing;
using Grpo.Training;
using Microsoft.Extensions.DependencyInjection;
using static TorchSharp.torch;

namespace Grpo.EndToEnd.Tests;

/// <summary>A reward model beside a rule reward in a real run.</summary>
public sealed class RewardModelRunTests
{
    [Fact]
    public async Task Step_learns_from_a_weighted_sum_of_a_rule_and_a_reward_model()
    {
        using TemporaryFolder folder = RewardFolder();
        using QwenPretrained qwen = QwenPretrained.Load(SampleProcess.TinyModel);
        using RewardModel model = RewardModel.Load(folder.Path), again = RewardModel.Load(folder.Path);
        using var optimizer = new GrpoOptimizer(
            qwen.Policy, new PolicyGroupSampler(qwen.Tokenizer, qwen.ChatTemplate),
            RewardFunction.WeightedSum((new FormatReward(), 1.0), (model, 0.5)), Options);
        float[] before = Weights(qwen), scorer = Weights(folder.Path);
        StepReport report = await optimizer.StepAsync([.. Problems().Take(2)]);

        Assert.Equal(["Format", "RewardModel"], report.RewardComponents.Keys.Order(StringComparer.Ordinal));
        Assert.Equal(
            report.RewardComponents["Format"] + (0.5 * report.RewardComponents["RewardModel"]), report.MeanReward, 1e-9);
        foreach (ScoredGroup group in report.Groups)
        {
            // The same scores from another copy of the model, on another thread.
            IReadOnlyList<Reward> scores = await again.ScoreAsync(group.Group);
            Assert.Equal(scores.Select(score => score.Value), group.Rewards.Select(reward => reward.Components!["RewardModel"]));
            Assert.True(scores.Select(score => score.Value).Distinct().Count() > 1);
        }

        Assert.True(Assert.Single(report.Updates).GradientNorm > 0);
        Assert.NotEqual(before, Weights(qwen));
        Assert.Equal(scorer, Weights(folder.Path)); // the file; the weights in memory are compared by their identity
        Assert.Equal(again.Identity.Facts, model.Identity.Facts);
    }

    [Fact]
    public async Task AddRewardModel_registers_parts_of_a_sum_that_the_container_frees()
    {
        using TemporaryFolder folder = RewardFolder();
        var services = new ServiceCollection();
        services.AddGrpo(options =>
            {
                options.GroupSize = 2;
                options.PromptsPerStep = 1;
                options.Sampling.MaxCompletionTokens = 8;
            })
            .UseQwen(SampleProcess.TinyModel)
            .UsePrompts(_ => Problems())
            .AddReward<FormatReward>()
            .AddRewardModel(folder.Path, weight: 0.5)
            .AddRewardModel(folder.Path, weight: 0.1, new RewardModelOptions { Name = "Second" })
            .AddTrainer(trainer => trainer.Steps = 1);

        object?[] keys = [.. services.Where(service => service.ServiceType == typeof(RewardModel)).Select(service => service.ServiceKey)];
        RewardModel[] models;
        using (ServiceProvider provider = services.BuildServiceProvider())
        {
            TrainingSummary summary = await provider.GetRequiredService<GrpoTrainer>().TrainAsync();
            Assert.Equal(1, summary.Steps);
            models = [.. keys.Select(provider.GetRequiredKeyedService<RewardModel>)];
            Assert.Equal(["RewardModel", "Second"], models.Select(model => model.Name));
        }

        Assert.All(models, model => Assert.Throws<ObjectDisposedException>(() => model.Identity));
    }

    private static GrpoOptions Options => new()
    {
        GroupSize = 4,
        PromptsPerStep = 2,
        LearningRate = 1e-4,
        Sampling = new SamplingOptions { MaxCompletionTokens = 32 },
    };

    private static IReadOnlyList<Prompt> Problems() =>
        WordProblems.Generate(new WordProblemOptions { Count = 4, SystemPrompt = "Solve step by step." }).ToPrompts();

    private static float[] Weights(QwenPretrained qwen) =>
        [.. qwen.Policy.Module.parameters().SelectMany(parameter => parameter.detach().data<float>())];

    private static float[] Weights(string folder)
    {
        using var scope = TensorScope.BeginNoGrad();
        using SafetensorsReader reader = SafetensorsReader.Open(Path.Combine(folder, "model.safetensors"));
        return [.. reader.Read("score.weight").data<float>()];
    }

    // The sample's model with one output on top, whose weights are random.
    private static TemporaryFolder RewardFolder()
    {
        var folder = new TemporaryFolder();
        foreach (string file in Directory.GetFiles(SampleProcess.TinyModel))
        {
            File.Copy(file, folder[Path.GetFileName(file)]);
        }

        JsonObject config = JsonNode.Parse(File.ReadAllText(folder["config.json"]))!.AsObject();
        int hidden = config["hidden_size"]!.GetValue<int>();
        config["architectures"] = new JsonArray("Qwen2ForSequenceClassification");
        config["id2label"] = new JsonObject { ["0"] = "LABEL_0" };
        File.WriteAllText(folder["config.json"], config.ToJsonString());
        using var scope = TensorScope.BeginNoGrad();
        List<KeyValuePair<string, Tensor>> tensors;
        using (SafetensorsReader reader = SafetensorsReader.Open(folder["model.safetensors"]))
        {
            tensors = [.. reader.Entries.Keys.Where(name => name != "lm_head.weight")
                .Select(name => KeyValuePair.Create(name, reader.Read(name)))];
        }

        using var generator = new Generator(5);
        tensors.Add(KeyValuePair.Create("score.weight", empty(1, hidden).normal_(0, 0.1, generator)));
        SafetensorsWriter.Write(folder["model.safetensors"], tensors);
        return folder;
    }
}

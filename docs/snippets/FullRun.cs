using Grpo.Callbacks;
using Grpo.Checkpoints;
using Grpo.Evaluation;
using Grpo.Models.Qwen;
using Grpo.Rewards;
using Grpo.Training;
using Microsoft.Extensions.DependencyInjection;

namespace Grpo.Snippets;

/// <summary>Getting started: a run with files, evaluation and checkpoints, by hand and by dependency injection.</summary>
public static class FullRun
{
    public static async Task<TrainingSummary> TrainAsync(CancellationToken cancellationToken)
    {
        using QwenPretrained qwen = await QwenPretrained.LoadAsync(
            "Qwen/Qwen2.5-0.5B-Instruct", new QwenLoadOptions { Device = "cuda", WithReference = true }, cancellationToken);
        var sampler = new PolicyGroupSampler(qwen.Tokenizer, qwen.ChatTemplate);
        var reward = new Gsm8kReward();
        GrpoOptions options = GrpoPresets.GrpoPaper();
        options.Sampling.MaxCompletionTokens = 300;

        using var optimizer = new GrpoOptimizer(qwen.Policy, sampler, reward, options, qwen.Reference);
        using var files = new JsonLinesLogger("runs/first");
        var trainer = new GrpoTrainer(
            optimizer,
            Gsm8kDataset.Load("train.jsonl"),
            new TrainerOptions { Steps = 200, EvaluateEvery = 50, CheckpointEvery = 50, Resume = true },
            new TrainerServices
            {
                Evaluator = new RewardEvaluator(sampler, reward, Gsm8kDataset.Load("test.jsonl"), options.Sampling.ToGreedy()),
                Checkpoints = new DirectoryCheckpointStore("runs/first/checkpoints"),
                Task = new TaskDescription { SystemPrompt = Gsm8kPrompts.TagAnswer, AnswerFormat = "TagAnswer" }, // as Load prompts
                Callbacks = [files],
            });
        TrainingSummary summary = await trainer.TrainAsync(cancellationToken);
        return summary;
    }

    public static void Register(IServiceCollection services)
    {
        services.AddGrpo(options => options.LearningRate = 1e-6)
            .UseQwen("models/Qwen2.5-0.5B-Instruct", device: "cuda")
            .UsePrompts(_ => Gsm8kDataset.Load("train.jsonl"))
            .AddReward<Gsm8kReward>()
            .AddReward<FormatReward>(weight: 0.1)
            .AddTrainer(trainer => trainer.Steps = 200);
    }

    public static Task<TrainingSummary> RunAsync(IServiceProvider provider, CancellationToken cancellationToken)
    {
        var trainer = provider.GetRequiredService<GrpoTrainer>();
        return trainer.TrainAsync(cancellationToken);
    }
}

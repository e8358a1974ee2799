using System.CommandLine;
using Grpo.Models.Qwen;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Text;
using Grpo.Models.Qwen.Weights;
using Grpo.Rewards;
using Grpo.Training;

namespace Grpo.Samples.Gsm8k;

/// <summary>
/// The command <c>pretrain</c>, which makes the tiny model from scratch. It trains a byte-pair vocabulary and a small Qwen2 on generated
/// problems with their solutions.
/// </summary>
internal static class PretrainCommand
{
    private const int VocabularyExamples = 20_000;

    public static Command Create()
    {
        var output = new Option<string>("--output") { Description = "The folder for the checkpoint.", Required = true };
        var examples = new Option<int>("--examples")
        {
            Description = "The number of problems to generate. Each is used once before any is repeated.",
            DefaultValueFactory = _ => 100_000,
        };
        var run = new SupervisedRun(new SupervisedOptions
        {
            Steps = 2400,
            BatchSize = 16,
            MicroBatchSize = 8,
            LearningRate = 1.5e-3,
            WarmupSteps = 100,
            Seed = 1,
            CheckpointInterval = TimeSpan.Zero, // a run of a few minutes needs no checkpoints by default
        });
        var command = new Command("pretrain", "Makes the tiny model that comes with this sample.") { output, examples };
        run.AddTo(command);
        command.SetAction((parsed, cancellationToken) => RunAsync(
            parsed.GetRequiredValue(output), parsed.GetValue(examples), run.Read(parsed), cancellationToken));
        return command;
    }

    private static async Task RunAsync(string output, int examples, SupervisedOptions options, CancellationToken cancellationToken)
    {
        IReadOnlyList<WordProblem> problems = Defaults.PretrainingProblems(examples);
        var template = new QwenChatTemplate();
        QwenTokenizer tokenizer = BpeTrainer.Train(
            problems.Take(VocabularyExamples).Select(problem => template.Render(problem.ToPrompt().Messages) + problem.ToCompletion()),
            TinyShape.VocabularySize);
        using var policy = new QwenPolicy(CausalLM.Initialize(TinyShape.Config(tokenizer), options.Seed), tokenizer.Save);
        TaskDescription task = Defaults.TinyTask;
        var services = new SupervisedServices { Checkpoints = SupervisedRun.Checkpoints(options, output), Task = task };
        var trainer = new SupervisedTrainer(
            policy, new SupervisedData(ColdStart.Examples(problems), tokenizer, template), options, services,
            new ConsoleWarnings<SupervisedTrainer>());
        Directory.CreateDirectory(output);
        await SupervisedRun.TrainAsync(trainer, options, cancellationToken);
        // half the size, and the rounding does not show in samples
        QwenWeights.Save(policy.Model, output, TorchSharp.torch.ScalarType.BFloat16);
        tokenizer.Save(output);
        template.Save(output);
        task.Write(output);
    }
}

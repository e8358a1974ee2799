using System.CommandLine;
using Grpo.Models.Qwen;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Text;
using Grpo.Models.Qwen.Weights;
using Grpo.Optimization;
using Grpo.Rewards;
using Grpo.Training;

namespace Grpo.Samples.Gsm8k;

/// <summary>Makes the tiny model from nothing: trains a byte-pair vocabulary and a small Qwen2 on generated problems with their solutions.</summary>
internal static class PretrainCommand
{
    private const int VocabularyExamples = 20_000;

    public static Command Create()
    {
        var output = new Option<string>("--output") { Description = "Folder for the checkpoint.", Required = true };
        var examples = new Option<int>("--examples") { Description = "Problems to generate; each is learned from once before any comes again.", DefaultValueFactory = _ => 100_000 };
        var run = new SupervisedRun(new SupervisedOptions
        {
            Steps = 2400,
            BatchSize = 16,
            MicroBatchSize = 8,
            LearningRate = 1.5e-3,
            WarmupSteps = 100,
            Seed = 1,
            CheckpointInterval = TimeSpan.Zero, // a few minutes that leave nothing but a model behind, unless checkpoints are asked for
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
        using var policy = new QwenPolicy(Qwen2ForCausalLM.Initialize(TinyShape.Config(tokenizer), options.Seed), tokenizer.Save);
        TaskDescription task = Defaults.TinyTask;
        var services = new SupervisedServices { Checkpoints = SupervisedRun.Checkpoints(options, output), Task = task };
        var trainer = new SupervisedTrainer(
            policy, tokenizer, template, ColdStart.Examples(problems), options, services, new ConsoleWarnings<SupervisedTrainer>());
        Directory.CreateDirectory(output);
        await SupervisedRun.TrainAsync(trainer, options, cancellationToken);
        QwenWeights.Save(policy.Model, output, TorchSharp.torch.ScalarType.BFloat16); // half the size, and the loss is below what sampling shows
        tokenizer.Save(output);
        template.Save(output);
        task.Write(output);
    }
}

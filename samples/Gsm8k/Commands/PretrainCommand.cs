using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using Grpo.Models.Qwen;
using Grpo.Rewards;

namespace Grpo.Samples.Gsm8k;

/// <summary>Makes the tiny model from nothing: trains a byte-pair vocabulary and a small Qwen2 on generated problems with their solutions.</summary>
internal static class PretrainCommand
{
    private const int Examples = 100_000;

    public static Command Create()
    {
        var output = new Option<string>("--output") { Description = "Folder for the checkpoint.", Required = true };
        var steps = new Option<long>("--steps") { Description = "Optimizer steps.", DefaultValueFactory = _ => 1200 };
        var batch = new Option<int>("--batch-size") { Description = "Examples per step.", DefaultValueFactory = _ => 32 };
        var rate = new Option<double>("--learning-rate") { Description = "Peak learning rate.", DefaultValueFactory = _ => 2e-3 };
        var seed = new Option<ulong>("--seed") { Description = "Seed of weights and order.", DefaultValueFactory = _ => 1 };
        var command = new Command("pretrain", "Makes the tiny model that comes with this sample.") { output, steps, batch, rate, seed };
        command.SetAction((parsed, cancellationToken) =>
        {
            var options = new SupervisedOptions
            {
                Steps = parsed.GetValue(steps),
                BatchSize = parsed.GetValue(batch),
                MicroBatchSize = parsed.GetValue(batch),
                LearningRate = parsed.GetValue(rate),
                WarmupSteps = Math.Min(100, parsed.GetValue(steps) - 1),
                Seed = parsed.GetValue(seed),
            };
            Run(parsed.GetRequiredValue(output), options, cancellationToken);
            return Task.FromResult(0);
        });
        return command;
    }

    private static void Run(string output, SupervisedOptions options, CancellationToken cancellationToken)
    {
        IReadOnlyList<WordProblem> problems = WordProblems.Generate(Defaults.Problems(ProblemSplit.Train, Examples));
        Directory.CreateDirectory(output);
        var template = new QwenChatTemplate();
        QwenTokenizer tokenizer = BpeTrainer.Train(
            problems.Take(20_000).Select(problem => template.Render(problem.ToPrompt().Messages) + problem.ToCompletion()), TinyShape.VocabularySize);
        using var policy = new QwenPolicy(Qwen2ForCausalLM.Initialize(TinyShape.Config(tokenizer), options.Seed), tokenizer.Save);
        var trainer = new SupervisedTrainer(
            policy, tokenizer, template, ColdStart.Examples(problems), options);

        var clock = Stopwatch.StartNew();
        foreach (SupervisedReport report in trainer.Run(cancellationToken))
        {
            if (report.Step % 50 == 0 || report.Step == options.Steps)
            {
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                    $"step {report.Step,5}/{options.Steps}  loss {report.Loss:F4}  gradient {report.GradientNorm:F2}  {report.Step * options.BatchSize / clock.Elapsed.TotalSeconds:F0} examples/s  {clock.Elapsed:mm\\:ss}"));
            }

            if (report.Step % 500 == 0)
            {
                Save();
            }
        }

        Save();

        void Save()
        {
            QwenWeights.Save(policy.Model, output, TorchSharp.torch.ScalarType.BFloat16); // half the size, and the loss is below what sampling shows
            tokenizer.Save(output);
        }
    }
}

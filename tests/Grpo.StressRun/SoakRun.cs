using Grpo.Callbacks;
using Grpo.Checkpoints;
using Grpo.Evaluation;
using Grpo.Models.Qwen;
using Grpo.Rewards;
using Grpo.Training;

namespace Grpo.StressRun;

/// <summary>
/// A long run of small steps with all parts of the sample's runs: the embedded model, evaluations, checkpoints, metrics, completions,
/// TensorBoard and the report.
/// </summary>
internal static class SoakRun
{
    private const int Every = 50;

    /// <summary>Trains and writes a line of <see cref="ResourceUse"/> to soak.csv every fifty steps and after the last step.</summary>
    /// <param name="folder">The folder for all files.</param>
    /// <param name="steps">The number of steps.</param>
    /// <param name="collects">
    /// True to measure after a garbage collection, so that only growth shows. False to measure with garbage.
    /// </param>
    public static async Task ExecuteAsync(string folder, int steps, bool collects)
    {
        using QwenPretrained qwen = await QwenPretrained.LoadAsync(Path.Combine(AppContext.BaseDirectory, "tiny"));
        var sampler = new PolicyGroupSampler(qwen.Tokenizer, qwen.ChatTemplate);
        var judge = new Gsm8kReward();
        var options = new GrpoOptions
        {
            GroupSize = 2,
            PromptsPerStep = 2,
            MicroBatchSize = 8,
            LearningRate = 2e-6,
            Sampling = new SamplingOptions { MaxCompletionTokens = 40, MaxPromptTokens = 512 },
        };
        using var optimizer = new GrpoOptimizer(
            qwen.Policy, sampler, RewardFunction.WeightedSum((judge, 1.0), (new FormatReward(), 0.1)), options);
        using var files = new JsonLinesLogger(folder);
        using var tensorBoard = new TensorBoardLogger(Path.Combine(folder, "tensorboard"));
        var trainer = new GrpoTrainer(
            optimizer,
            Problems(ProblemSplit.Train, 2_000),
            new TrainerOptions { Steps = steps, EvaluateEvery = Every, CheckpointEvery = Every },
            new TrainerServices
            {
                Evaluator = new RewardEvaluator(sampler, judge, Problems(ProblemSplit.Test, 16), options.Sampling.ToGreedy()),
                Checkpoints = new DirectoryCheckpointStore(Path.Combine(folder, "checkpoints"), keepLast: 2),
                Callbacks =
                [
                    files,
                    tensorBoard,
                    new HtmlReport(Path.Combine(folder, "report.html"), tokens: new TokenDetails(qwen.Policy, qwen.Tokenizer)),
                    new Recorder(folder, steps, collects),
                ],
            });
        await trainer.TrainAsync();
    }

    private static IReadOnlyList<Prompt> Problems(ProblemSplit split, int count) => WordProblems.Generate(new WordProblemOptions
    {
        Seed = split == ProblemSplit.Train ? 1UL : 2UL,
        Count = count,
        MinSteps = 1,
        MaxSteps = 1,
        Split = split,
        SystemPrompt = "Solve step by step.",
    }).ToPrompts();

    private sealed class Recorder(string folder, long last, bool collects) : ITrainingCallback
    {
        private readonly string _path = Path.Combine(folder, "soak.csv");

        public ValueTask OnStartAsync(TrainingStart start, CancellationToken cancellationToken = default)
        {
            File.WriteAllText(_path, ResourceUse.Header + "\n");
            return ValueTask.CompletedTask;
        }

        public ValueTask OnStepAsync(TrainingStep report, CancellationToken cancellationToken = default)
        {
            if (report.Step % Every == 0 || report.Step == last || report.Step == 1)
            {
                File.AppendAllText(_path, ResourceUse.Measure(report.Step, collects) + "\n");
                if (!collects)
                {
                    ResourceUse.ForgetPeak();
                }
            }

            return ValueTask.CompletedTask;
        }
    }
}

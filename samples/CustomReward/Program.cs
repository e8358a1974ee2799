using Grpo;
using Grpo.Models.Qwen;
using Grpo.Rewards;
using Grpo.Samples.CustomReward;

// Trains the tiny model of the GSM8K sample with a custom reward and a custom sampler. Optional argument: the number of steps.
int steps = args.Length > 0 ? int.Parse(args[0], System.Globalization.CultureInfo.InvariantCulture) : 10;
using QwenPretrained qwen = QwenPretrained.Load(Path.Combine(AppContext.BaseDirectory, "tiny"));
using var optimizer = new GrpoOptimizer(
    policy: qwen.Policy,
    sampler: new DistinctSampler(new PolicyGroupSampler(qwen.Tokenizer, qwen.ChatTemplate)),
    reward: RewardFunction.WeightedSum((new Gsm8kReward(), 1.0), (new BrevityReward(), 0.1)),
    options: new GrpoOptions
    {
        GroupSize = 4,
        PromptsPerStep = 4,
        LearningRate = 1e-4,
        Sampling = new SamplingOptions { MaxCompletionTokens = 96 },
    });

IReadOnlyList<Prompt> prompts =
    WordProblems.Generate(new WordProblemOptions { Count = 1000, MaxSteps = 2, SystemPrompt = "Solve step by step." }).ToPrompts();
var trainer = new GrpoTrainer(optimizer, prompts, new TrainerOptions { Steps = steps });
await foreach (TrainingStep step in trainer.RunAsync())
{
    Console.WriteLine(
        FormattableString.Invariant($"{step.Step,5}  reward {step.Report.MeanReward:F3}  tokens {step.Report.MeanCompletionTokens:F0}"));
}

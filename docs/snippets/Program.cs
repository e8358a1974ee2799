using Grpo;
using Grpo.Models.Qwen;
using Grpo.Rewards;

using var qwen = QwenPretrained.Load("Qwen/Qwen2.5-0.5B-Instruct", device: "cuda");   // a hub id or a folder
using var optimizer = new GrpoOptimizer(
    policy: qwen.Policy,
    sampler: new PolicyGroupSampler(qwen.Tokenizer, qwen.ChatTemplate),
    reward: RewardFunction.WeightedSum((new Gsm8kReward(), 1.0), (new FormatReward(), 0.1)),
    options: new GrpoOptions { GroupSize = 8, PromptsPerStep = 8, LearningRate = 1e-6 });

var trainer = new GrpoTrainer(optimizer, Gsm8kDataset.Load("train.jsonl"), new TrainerOptions { Steps = 200 });
await foreach (TrainingStep step in trainer.RunAsync())
{
    Console.WriteLine($"{step.Step,5}  reward {step.Report.MeanReward:F3}  tokens {step.Report.MeanCompletionTokens:F0}");
}

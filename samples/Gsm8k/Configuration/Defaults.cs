using Grpo.Rewards;

namespace Grpo.Samples.Gsm8k;

/// <summary>Settings of the run without arguments: a model and problems small enough for any machine.</summary>
internal static class Defaults
{
    /// <summary>The folder of the tiny model that comes with the sample.</summary>
    public static string TinyModel => Path.Combine(AppContext.BaseDirectory, "tiny");

    /// <summary>The system prompt of the generated problems: short, since a tiny model reads it every time.</summary>
    public const string SystemPrompt = "Solve step by step.";

    public static GrpoOptions TinyGrpo() => new()
    {
        GroupSize = 8,
        PromptsPerStep = 16,
        LearningRate = 5e-5,
        WarmupSteps = 5,
        MicroBatchSize = 32,
        Sampling = new SamplingOptions { MaxCompletionTokens = 128, MaxPromptTokens = 1024, MaxConcurrentSequences = 128 },
    };

    public static TrainerOptions TinyTrainer() => new() { Steps = 50, EvaluateEvery = 10 };

    public static WordProblemOptions Problems(ProblemSplit split, int count) => new()
    {
        Seed = split == ProblemSplit.Train ? 1UL : 2UL,
        Count = count,
        MaxSteps = 3,
        Split = split,
        SystemPrompt = SystemPrompt,
    };
}

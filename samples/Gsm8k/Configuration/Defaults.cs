using Grpo.Rewards;

namespace Grpo.Samples.Gsm8k;

/// <summary>Settings of the run without arguments: a model and problems small enough for any machine.</summary>
internal static class Defaults
{
    /// <summary>The folder of the tiny model that comes with the sample.</summary>
    public static string TinyModel => Path.Combine(AppContext.BaseDirectory, "tiny");

    /// <summary>The system prompt of the generated problems: short, since a tiny model reads it every time.</summary>
    public const string SystemPrompt = "Solve step by step.";

    /// <summary>Gives options the sizes, learning rate and lengths that fit the tiny model; the method stays as it is.</summary>
    public static void FitTiny(GrpoOptions options)
    {
        options.GroupSize = 8;
        options.PromptsPerStep = 16;
        options.LearningRate = 5e-5;
        options.WarmupSteps = 5;
        options.MicroBatchSize = 32;
        options.Sampling = new SamplingOptions { MaxCompletionTokens = 128, MaxPromptTokens = 1024, MaxConcurrentSequences = 128 };
    }

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

using Grpo.Optimization;
using Grpo.Rewards;
using Grpo.Training;

namespace Grpo.Samples.Gsm8k;

/// <summary>Settings of the run without arguments: a model and problems small enough for any machine.</summary>
internal static class Defaults
{
    /// <summary>The folder of the tiny model that comes with the sample.</summary>
    public static string TinyModel => Path.Combine(AppContext.BaseDirectory, "tiny");

    /// <summary>The system prompt of the generated problems: short, since a tiny model reads it every time.</summary>
    public const string SystemPrompt = "Solve step by step.";

    // Enough that ignoring a number has to be learned; not so many that a small model sees little else.
    private const double DistractorShare = 0.2;

    private const int MaxPromptTokens = 1024;
    private const int MaxCompletionTokens = 128;

    /// <summary>The task of the tiny model.</summary>
    public static TaskDescription TinyTask => new()
    {
        SystemPrompt = SystemPrompt,
        AnswerFormat = nameof(AnswerFormat.TagAnswer),
        MaxPromptTokens = MaxPromptTokens,
        MaxCompletionTokens = MaxCompletionTokens,
    };

    /// <summary>Gives options the sizes, learning rate and lengths that fit the tiny model; the method stays as it is.</summary>
    public static void FitTiny(GrpoOptions options)
    {
        options.GroupSize = 8;
        options.PromptsPerStep = 16;
        options.LearningRate = 2e-5;
        options.WarmupSteps = 5;
        options.MicroBatchSize = 32;
        options.Sampling = new SamplingOptions
        {
            MaxCompletionTokens = MaxCompletionTokens,
            MaxPromptTokens = MaxPromptTokens,
            MaxConcurrentSequences = 128,
        };
    }

    public static TrainerOptions TinyTrainer() => new() { Steps = 50, EvaluateEvery = 10 };

    /// <summary>
    /// What the tiny model is pretrained on: two problems like those of the runs, then one of up to five steps, so that the numbers of steps
    /// that GRPO leaves out can show what carries over.
    /// </summary>
    public static IReadOnlyList<WordProblem> PretrainingProblems(int count)
    {
        WordProblemOptions options = Problems(ProblemSplit.Train, count) with { Seed = 3 };
        IReadOnlyList<WordProblem> usual = WordProblems.Generate(options);
        IReadOnlyList<WordProblem> any = WordProblems.Generate(options with { MaxSteps = 5 });
        return [.. usual.Select((problem, i) => i % 3 == 2 ? any[i] : problem)];
    }

    /// <summary>The problems of a run: up to three steps, so that those of four and five show what carries over.</summary>
    public static WordProblemOptions Problems(ProblemSplit split, int count, int minSteps = 1, int maxSteps = 3) => new()
    {
        Seed = split == ProblemSplit.Train ? 1UL : 2UL,
        Count = count,
        MinSteps = minSteps,
        MaxSteps = maxSteps,
        Distractors = DistractorShare,
        Split = split,
        SystemPrompt = SystemPrompt,
    };
}

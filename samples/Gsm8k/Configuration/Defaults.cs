using Grpo.Rewards;
using Grpo.Training;

namespace Grpo.Samples.Gsm8k;

/// <summary>The settings of the run without arguments: a model and problems small enough for any machine.</summary>
internal static class Defaults
{
    /// <summary>The folder of the tiny model that comes with the sample.</summary>
    public static string TinyModel => Path.Combine(AppContext.BaseDirectory, "tiny");

    /// <summary>The system prompt of the generated problems. It is short, because the tiny model reads it every time.</summary>
    public const string SystemPrompt = "Solve step by step.";

    // High enough that the model must learn to ignore a number, and low enough that a small model can still learn the rest.
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

    /// <summary>Sets the sizes, the learning rate and the lengths to values that fit the tiny model. The method does not change.</summary>
    /// <param name="options">The options to change.</param>
    /// <param name="trainsAdapter">True if only an adapter is trained, which wants ten times the learning rate.</param>
    public static void FitTiny(GrpoOptions options, bool trainsAdapter)
    {
        options.GroupSize = 8;
        options.PromptsPerStep = 16;
        options.LearningRate = trainsAdapter ? 2e-4 : 2e-5;
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
    /// Generates the problems that the tiny model is pretrained on. Two of three are like those of the runs, and the third has up to five
    /// steps. Problems of four and five steps, which GRPO does not train on, then show what generalizes.
    /// </summary>
    public static IReadOnlyList<WordProblem> PretrainingProblems(int count)
    {
        WordProblemOptions options = Problems(ProblemSplit.Train, count) with { Seed = 3 };
        IReadOnlyList<WordProblem> usual = WordProblems.Generate(options);
        IReadOnlyList<WordProblem> any = WordProblems.Generate(options with { MaxSteps = 5 });
        return [.. usual.Select((problem, i) => i % 3 == 2 ? any[i] : problem)];
    }

    /// <summary>
    /// Returns the options of a run's problems, with up to three steps by default. Those of four and five show what generalizes.
    /// </summary>
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

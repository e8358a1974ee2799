using Grpo.Rewards;
using Grpo.Training;

namespace Grpo.Samples.Gsm8k;

/// <summary>The prompts and rewards of a run: GSM8K if a file is given, otherwise generated problems in its format.</summary>
internal sealed record Gsm8kTask(
    IReadOnlyList<Prompt> Train, IReadOnlyList<Prompt> Held, IRewardFunction Reward, IRewardFunction Judge, TaskDescription Description)
{
    private const int GeneratedProblems = 20_000;

    public static async Task<Gsm8kTask> CreateAsync(Settings settings, CancellationToken cancellationToken)
    {
        RunSettings run = settings.Run;
        string? system = run.Dataset is { Length: > 0 } ? settings.Form.ForOthers : settings.Form.ForGenerated;
        IReadOnlyList<Prompt> train = run.Dataset is { Length: > 0 } dataset
            ? await DataSource.LoadAsync("--dataset", dataset, "train", system, cancellationToken).ConfigureAwait(false)
            : WordProblems.Generate(Defaults.Problems(ProblemSplit.Train, GeneratedProblems) with { SystemPrompt = system }).ToPrompts();
        // Held-out problems get the system message of training, whatever their source.
        IReadOnlyList<Prompt> held = run.EvalDataset is { Length: > 0 } evaluation
            ? await DataSource.LoadAsync("--eval-dataset", evaluation, "test", system, cancellationToken).ConfigureAwait(false)
            : run.Dataset is { Length: > 0 } ? [] : Generated(run, system);

        var judge = new Gsm8kReward(new Gsm8kRewardOptions { Format = run.AnswerFormat });
        IRewardFunction reward = string.Equals(run.Preset, "thelmbook", StringComparison.OrdinalIgnoreCase)
            ? new TheLmBookReward()
            : RewardFunction.WeightedSum((judge, 1.0), (new FormatReward(), 0.1));
        return new Gsm8kTask(train, [.. held.Take(run.EvalCount)], reward, judge, settings.Form.Describe(system, settings.Grpo.Sampling));
    }

    /// <summary>Loads the held-out problems of eval: from --eval-dataset, or else from --dataset, or else generated ones.</summary>
    public static async Task<IReadOnlyList<Prompt>> HeldOutAsync(Settings settings, CancellationToken cancellationToken)
    {
        RunSettings run = settings.Run;
        (string option, string? source) = run.EvalDataset is { Length: > 0 }
            ? ("--eval-dataset", run.EvalDataset)
            : ("--dataset", run.Dataset);
        IReadOnlyList<Prompt> prompts = source is { Length: > 0 }
            ? await DataSource.LoadAsync(option, source, "test", settings.Form.ForOthers, cancellationToken).ConfigureAwait(false)
            : Generated(run, settings.Form.ForGenerated);
        return [.. prompts.Take(run.EvalCount)];
    }

    private static IReadOnlyList<Prompt> Generated(RunSettings run, string? system) => WordProblems.Generate(
        Defaults.Problems(ProblemSplit.Test, run.EvalCount, run.EvalMinSteps, run.EvalMaxSteps) with { SystemPrompt = system }).ToPrompts();
}

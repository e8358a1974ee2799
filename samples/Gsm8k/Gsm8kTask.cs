using Grpo.Models.Qwen;
using Grpo.Rewards;

namespace Grpo.Samples.Gsm8k;

/// <summary>Prompts and rewards of a run: real GSM8K where a file is given, else generated problems in its format.</summary>
internal sealed record Gsm8kTask(IReadOnlyList<Prompt> Train, IReadOnlyList<Prompt> Held, IRewardFunction Reward, IRewardFunction Judge)
{
    private const int GeneratedProblems = 20_000;

    public static async Task<Gsm8kTask> CreateAsync(Settings settings, CancellationToken cancellationToken)
    {
        RunSettings run = settings.Run;
        string system = Gsm8kPrompts.For(run.AnswerFormat);
        IReadOnlyList<Prompt> train = run.Dataset is { Length: > 0 } dataset
            ? await LoadAsync(dataset, "train", system, cancellationToken).ConfigureAwait(false)
            : WordProblems.Generate(Defaults.Problems(ProblemSplit.Train, GeneratedProblems)).ToPrompts();
        IReadOnlyList<Prompt> held = run.EvalDataset is { Length: > 0 } evaluation
            ? await LoadAsync(evaluation, "test", system, cancellationToken).ConfigureAwait(false)
            : run.Dataset is { Length: > 0 } ? [] : Generated(run);

        var judge = new Gsm8kReward(new Gsm8kRewardOptions { Format = run.AnswerFormat });
        IRewardFunction reward = string.Equals(run.Preset, "thelmbook", StringComparison.OrdinalIgnoreCase)
            ? new TheLmBookReward()
            : RewardFunction.WeightedSum((judge, 1.0), (new FormatReward(), 0.1));
        return new Gsm8kTask(train, [.. held.Take(run.EvalCount)], reward, judge);
    }

    /// <summary>Held-out problems for eval: --eval-dataset, else --dataset, else generated ones.</summary>
    public static async Task<IReadOnlyList<Prompt>> HeldOutAsync(Settings settings, CancellationToken cancellationToken)
    {
        RunSettings run = settings.Run;
        string? file = run.EvalDataset is { Length: > 0 } ? run.EvalDataset : run.Dataset;
        IReadOnlyList<Prompt> prompts = file is { Length: > 0 }
            ? await LoadAsync(file, "test", Gsm8kPrompts.For(run.AnswerFormat), cancellationToken).ConfigureAwait(false)
            : Generated(run);
        return [.. prompts.Take(run.EvalCount)];
    }

    private static IReadOnlyList<Prompt> Generated(RunSettings run) =>
        WordProblems.Generate(Defaults.Problems(ProblemSplit.Test, run.EvalCount, run.EvalMinSteps, run.EvalMaxSteps)).ToPrompts();

    // A path that exists is a file; "owner/name" without one is a data set on the hub.
    private static async Task<IReadOnlyList<Prompt>> LoadAsync(string source, string split, string system, CancellationToken cancellationToken)
    {
        string file = File.Exists(source) || !HubClient.IsId(source)
            ? source
            : await HubClient.DownloadDatasetAsync(source, split, cancellationToken: cancellationToken).ConfigureAwait(false);
        return Gsm8kDataset.Load(file, system);
    }
}

using Grpo.Evaluation;
using Grpo.Losses;

namespace Grpo.Callbacks;

/// <summary>Lists the metrics of a step or an evaluation under the names that TRL uses.</summary>
internal static class StepMetrics
{
    /// <summary>The prefixes of the metrics that follow those of the evaluation in a line.</summary>
    internal static IReadOnlyList<string> AfterEvaluation { get; } = ["curriculum/", "time/"];

    /// <summary>Returns the metrics of an evaluation in a fixed order, without those that have no finite value.</summary>
    /// <param name="evaluation">The evaluation.</param>
    public static IReadOnlyList<KeyValuePair<string, double>> From(EvaluationReport evaluation)
    {
        ArgumentNullException.ThrowIfNull(evaluation);
        (string Name, double? Value)[] metrics =
        [
            ("eval/accuracy", evaluation.Accuracy),
            ("eval/reward", evaluation.MeanReward),
            ("eval/mean_length", evaluation.MeanCompletionTokens),
        ];
        return [.. metrics.Where(metric => metric.Value is { } value && double.IsFinite(value))
            .Select(metric => new KeyValuePair<string, double>(metric.Name, metric.Value!.Value))];
    }

    /// <summary>Returns the metrics of a step that ran without a trainer.</summary>
    /// <param name="report">The report of the optimizer.</param>
    public static IReadOnlyList<KeyValuePair<string, double>> From(StepReport report) => From(new TrainingStep(report));

    /// <summary>Returns the metrics of a step in a fixed order, without those that have no finite value.</summary>
    /// <param name="step">The step.</param>
    public static IReadOnlyList<KeyValuePair<string, double>> From(TrainingStep step)
    {
        ArgumentNullException.ThrowIfNull(step);
        StepReport report = step.Report;
        var metrics = new List<KeyValuePair<string, double>>();
        Add("step", report.Step);
        Add("reward", report.MeanReward);
        Add("reward_std", report.RewardStdDev);
        Add("accuracy", report.Accuracy);
        foreach ((string name, double mean) in report.RewardComponents)
        {
            Add($"rewards/{name}/mean", mean);
        }

        Add("frac_reward_zero_std", report.ZeroStdDevFraction);
        Add("frac_reward_zero_std/all_right", report.AllRightFraction);
        Add("frac_reward_zero_std/all_wrong", report.AllWrongFraction);
        Add("sampling/rounds", report.SamplingRounds);
        Add("sampling/replaced_groups", report.ReplacedGroups);
        Add("rewards/abstained", report.Abstained);
        Add("rewards/errors", report.RewardErrors);
        Add("completions/mean_length", report.MeanCompletionTokens);
        Add("completions/clipped_ratio", report.TruncatedFraction);
        Add("num_tokens", report.CompletionTokens);
        Add("entropy", report.Entropy);
        if (report.Updates.Count > 0)
        {
            Add("loss", report.Updates.Average(update => update.Loss));
            Add("kl", report.Updates[0].Kl is null ? null : report.Updates.Average(update => update.Kl!.Value));
            Add("kl_coefficient", report.Updates[^1].KlCoefficient);
            AddClip("clip_ratio/low_mean", clip => clip.LowMean);
            AddClip("clip_ratio/low_min", clip => clip.LowMin);
            AddClip("clip_ratio/high_mean", clip => clip.HighMean);
            AddClip("clip_ratio/high_max", clip => clip.HighMax);
            AddClip("clip_ratio/region_mean", clip => clip.RegionMean);
            Add("sampling/sampling_logp_difference/mean", report.Updates[0].SamplerDifference?.Mean);
            Add("sampling/sampling_logp_difference/max", report.Updates[0].SamplerDifference?.Max);
            Add("grad_norm", report.Updates.Average(update => update.GradientNorm));
            Add("learning_rate", report.Updates[^1].LearningRate);
        }

        Add("updates", report.Updates.Count);
        Add("updates/skipped", report.Updates.Count(update => update.SkipReason is not null));
        Add("memory/micro_batch_splits", report.MicroBatchSplits);
        Add("memory/micro_batch_tokens", report.MicroBatchTokens);
        foreach ((string verdict, int count) in report.Verdicts)
        {
            Add($"verdicts/{verdict}", count);
        }

        if (step.Evaluation is { } evaluation)
        {
            metrics.AddRange(From(evaluation));
        }

        Add("curriculum/skipped", step.Curriculum?.Skipped);
        Add("curriculum/filled", step.Curriculum?.Filled);
        Add("curriculum/paused_solved", step.Curriculum?.PausedSolved);
        Add("curriculum/paused_unsolved", step.Curriculum?.PausedUnsolved);
        Add("curriculum/pass_rate", step.Curriculum?.MeanPassRate);
        Add("time/rollout", report.RolloutTime.TotalSeconds);
        Add("time/scoring", report.ScoringTime.TotalSeconds);
        Add("time/update", report.UpdateTime.TotalSeconds);
        return metrics;

        void AddClip(string name, Func<ClipMetrics, double> number) =>
            Add(name, report.Updates[0].Clip is null ? null : report.Updates.Average(update => number(update.Clip!.Value)));

        void Add(string name, double? value)
        {
            if (value is { } number && double.IsFinite(number))
            {
                metrics.Add(new(name, number));
            }
        }
    }
}

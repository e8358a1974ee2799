using Grpo.Training;

namespace Grpo.Callbacks;

/// <summary>Writes the section with the charts of the run.</summary>
internal static class ChartsSection
{
    public static void Write(HtmlWriter page, RunHistory history, TrainingSummary summary)
    {
        page.Write($"""<section aria-labelledby="course"><h2 id="course">The course of the run</h2><div class="charts">""");
        foreach (Chart chart in Charts(history, summary))
        {
            chart.Write(page);
        }

        page.Write($"</div></section>\n");
    }

    private static IEnumerable<Chart> Charts(RunHistory history, TrainingSummary summary)
    {
        yield return new LineChart
        {
            Id = "chart-accuracy",
            Title = "Accuracy",
            Description = "Held-out accuracy with its 95 % interval (Wilson), and the accuracy of the sampled training completions.",
            Lines =
            [
                HeldOut(history, summary),
                ChartLine.From("training", "s2", history.Metric(ReportMetrics.Accuracy)) with { BandName = null },
            ],
            Format = Numbers.ShortPercent,
            IsFraction = true,
            Missing = "Neither an evaluator nor the reward judged correctness in this run.",
        };
        yield return new LineChart
        {
            Id = "chart-reward",
            Title = "Reward",
            Description = "Mean reward of a step's completions, and the mean standard deviation within its groups. "
                + "Without spread there is nothing to learn.",
            Lines =
            [
                ChartLine.From("mean reward", "s1", history.Metric(ReportMetrics.Reward)),
                ChartLine.From("standard deviation in the group", "s2", history.Metric(ReportMetrics.RewardStdDev)) with
                {
                    BandName = null,
                },
            ],
        };
        yield return Simple("chart-kl", "KL",
            "KL divergence of the policy from the reference model, nats per token: how far training has moved the model.", ReportMetrics.Kl,
            history, "No KL: the run had no reference model.");
        yield return Simple("chart-entropy", "Entropy",
            "Mean entropy of the distributions that tokens were sampled from, nats. A fall toward 0 means a policy that has settled.",
            ReportMetrics.Entropy,
            history, "The sampler did not record entropies.");
        yield return new LineChart
        {
            Id = "chart-clip",
            Title = "Clip fractions",
            Description =
                "Share of the tokens whose ratio left the clip range: below it with a negative, above it with a positive advantage.",
            Lines =
            [
                ChartLine.From("below", "s2", history.Metric(ReportMetrics.ClipLow)),
                ChartLine.From("above", "s1", history.Metric(ReportMetrics.ClipHigh)),
            ],
            Format = Numbers.ShortPercent,
            Missing = "The objective has no clip range, or no step was learned from.",
        };
        yield return Simple("chart-length", "Completion length", "Mean tokens of a completion.", ReportMetrics.Length, history);
        yield return Simple(
            "chart-truncated", "Truncated completions", "Share of completions cut at the length limit.", ReportMetrics.Truncated, history,
            format: Numbers.ShortPercent);
        yield return Simple("chart-silent", "Groups without a signal",
            "Share of groups whose advantages are all 0 because their completions have equal rewards. They teach nothing.",
            ReportMetrics.NoSignal,
            history, format: Numbers.ShortPercent);
        yield return Simple(
            "chart-gradient", "Gradient norm", "Length of the gradient before clipping.", ReportMetrics.GradientNorm, history,
            "No step of this run changed the weights.");
        yield return Simple(
            "chart-rate", "Learning rate", "Learning rate of a step's last update.", ReportMetrics.LearningRate, history,
            "No step of this run changed the weights.");
        yield return Simple(
            "chart-throughput", "Throughput", "Completion tokens per second of the whole step.", ReportMetrics.TokensPerSecond, history,
            "No times were recorded.");
        yield return new StackedChart
        {
            Id = "chart-time",
            Title = "Time of a step",
            Description = "Seconds per step. " + Shares(history),
            Layers =
            [
                ("rollout", history.Metric(ReportMetrics.Rollout)),
                ("scoring", history.Metric(ReportMetrics.Scoring)),
                ("update", history.Metric(ReportMetrics.Update)),
            ],
            Format = value => Numbers.Show(value) + "\u00a0s",
        };
    }

    private static LineChart Simple(string id, string title, string description, string metric, RunHistory history,
        string missing = "No step of this run has this number.", Func<double, string>? format = null) => new()
        {
            Id = id,
            Title = title,
            Description = description,
            Lines = [ChartLine.From("mean", "s1", history.Metric(metric))],
            Missing = missing,
            Format = format ?? (value => Numbers.Show(value)),
        };

    // Only the summary has the evaluation before the first step.
    private static ChartLine HeldOut(RunHistory history, TrainingSummary summary)
    {
        IEnumerable<EvaluationPoint> points = history.Evaluations;
        if (summary.Before is { } before)
        {
            long step = summary.Evaluations.Count > 0 ? summary.Evaluations[0].Step : history.FirstStep;
            points = points.Prepend(EvaluationPoint.From(step, before));
        }

        return new ChartLine(
            "held-out",
            "s1",
            [.. points.Select(point => new ChartPoint(point.Step, Numbers.Count(point.Step), point.Accuracy, point.Low, point.High))])
        {
            BandName = "95 % interval",
            HasWhiskers = true,
        };
    }

    private static string Shares(RunHistory history)
    {
        double all = history.RolloutSeconds + history.ScoringSeconds + history.UpdateSeconds;
        return all > 0
            ? $"Of the whole run {Numbers.Percent(history.RolloutSeconds / all)} went into sampling, "
                + $"{Numbers.Percent(history.ScoringSeconds / all)} into scoring, "
                + $"{Numbers.Percent(history.UpdateSeconds / all)} into updates."
            : "No times were recorded.";
    }
}

/// <summary>The names of the metrics that a report plots, as in <see cref="StepMetrics"/>.</summary>
internal static class ReportMetrics
{
    public const string Reward = "reward";
    public const string RewardStdDev = "reward_std";
    public const string Accuracy = "accuracy";
    public const string Kl = "kl";
    public const string Entropy = "entropy";
    public const string ClipLow = "clip_ratio/low_mean";
    public const string ClipHigh = "clip_ratio/high_mean";
    public const string Length = "completions/mean_length";
    public const string Truncated = "completions/clipped_ratio";
    public const string NoSignal = "frac_reward_zero_std";
    public const string GradientNorm = "grad_norm";
    public const string LearningRate = "learning_rate";
    public const string Rollout = "time/rollout";
    public const string Scoring = "time/scoring";
    public const string Update = "time/update";

    /// <summary>Completion tokens per second of the whole step. Not one of the step metrics.</summary>
    public const string TokensPerSecond = "tokens_per_second";

    public static IReadOnlyList<string> All { get; } =
    [
        Reward, RewardStdDev, Accuracy, Kl, Entropy, ClipLow, ClipHigh, Length, Truncated, NoSignal, GradientNorm, LearningRate, Rollout,
        Scoring, Update, TokensPerSecond,
    ];
}

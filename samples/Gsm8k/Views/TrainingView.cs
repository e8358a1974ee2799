using System.Globalization;
using Grpo.Evaluation;
using Spectre.Console;

namespace Grpo.Samples.Gsm8k;

/// <summary>Creates the view of a run: a live view in a terminal, and plain lines everywhere else.</summary>
internal static class TrainingView
{
    public static ITrainingCallback Create(Settings settings, int heldOut) =>
        Console.IsOutputRedirected || !AnsiConsole.Profile.Capabilities.Interactive
            ? new PlainView(settings, heldOut)
            : new LiveView(settings, heldOut);

    /// <summary>Formats a step as one line.</summary>
    public static string Line(StepReport report, long steps, TimeSpan timeLeft)
    {
        UpdateReport? update = report.Updates.Count > 0 ? report.Updates[^1] : null;
        return string.Create(CultureInfo.InvariantCulture,
            $"step {report.Step,4}/{steps}  reward {report.MeanReward:F3}  accuracy {Percent(report.Accuracy)}  kl {Number(update?.Kl)}  " +
            $"clip {Number(update?.Clip?.LowMean)}/{Number(update?.Clip?.HighMean)}  length {report.MeanCompletionTokens,5:F1}  " +
            $"{TokensPerSecond(report),6:F0} tokens/s  left {timeLeft:hh\\:mm\\:ss}");
    }

    /// <summary>Formats the estimate of the run's time after the first step.</summary>
    public static string Estimate(StepReport first, long steps) => string.Create(CultureInfo.InvariantCulture,
        $"The first step took {first.Duration.TotalSeconds:F1} s: rollout {first.RolloutTime.TotalSeconds:F1}, scoring "
        + $"{first.ScoringTime.TotalSeconds:F1}, update {first.UpdateTime.TotalSeconds:F1}. The other {steps - first.Step} take about "
        + $"{first.Duration * (steps - first.Step):hh\\:mm\\:ss}, evaluations not counted.");

    public static string Evaluation(string when, EvaluationReport evaluation) => string.Create(CultureInfo.InvariantCulture,
        $"held-out {when}: accuracy {Percent(evaluation.Accuracy)} of {evaluation.Count}, "
        + $"{evaluation.MeanCompletionTokens:F1} tokens per completion");

    public static string Percent(double? value) => value?.ToString("P1", CultureInfo.InvariantCulture) ?? "-";

    public static string Number(double? value) => value?.ToString("F4", CultureInfo.InvariantCulture) ?? "-";

    /// <summary>Returns the completion tokens per second of the whole step: sampling, scoring and update.</summary>
    public static double TokensPerSecond(StepReport report) =>
        report.CompletionTokens / Math.Max(report.Duration.TotalSeconds, 1e-9);
}

using System.Globalization;
using Grpo.Callbacks;
using Grpo.Evaluation;
using Grpo.IO;
using Grpo.Training;

namespace Grpo.Samples.Gsm8k;

/// <summary>The last lines that a run prints.</summary>
internal static class RunEnd
{
    public static IEnumerable<string> Lines(TrainingSummary summary)
    {
        string end = summary.Canceled ? "Stopped" : summary.Failure is null ? "Done" : "Failed";
        string now = summary.Steps == summary.LastStep ? "" : string.Create(CultureInfo.InvariantCulture, $", {summary.Steps} of them now");
        yield return string.Create(CultureInfo.InvariantCulture,
            $"{end} after {summary.LastStep} steps{now}, {summary.CompletionTokens} completion tokens, {summary.Elapsed:hh\\:mm\\:ss}.");
        if (summary is { Before: { } before, After: { } after })
        {
            yield return $"Held-out accuracy: {Share(before)} before, {Share(after)} after, {after.Count} "
                + "problems, 95 % intervals in brackets.";
        }

        if (summary.Collapse is { } collapse)
        {
            string back = summary.RollBacks > 0
                ? string.Create(CultureInfo.InvariantCulture, $" Rolled back {summary.RollBacks} times.")
                : "";
            yield return $"Collapsed: {TerminalText.EscapeLine(collapse.Reason)}{back}";
        }

        if (summary.Best is { Folder: { } folder } best)
        {
            yield return string.Create(
                CultureInfo.InvariantCulture, $"Best: step {best.Step}, {TrainingView.Percent(best.Evaluation.Accuracy)}, {folder}");
        }

        if (summary.Checkpoint is { } checkpoint)
        {
            yield return $"Checkpoint: {checkpoint}";
        }
    }

    private static string Share(EvaluationReport report) => report.AccuracyInterval is { } interval
        ? string.Create(
            CultureInfo.InvariantCulture, $"{TrainingView.Percent(report.Accuracy)} [{100 * interval.Low:F1}, {100 * interval.High:F1}]")
        : TrainingView.Percent(report.Accuracy);
}

/// <summary>Prints the path of the report when it is written.</summary>
internal sealed class ReportPath(HtmlReport report) : ITrainingCallback
{
    public ValueTask OnEndAsync(TrainingSummary summary)
    {
        Console.WriteLine($"Report: {report.FilePath}");
        return ValueTask.CompletedTask;
    }
}

/// <summary>The name of the model in the views.</summary>
internal static class ModelName
{
    public static string Of(Settings settings) => settings.Run.Model is { Length: > 0 } model ? model : "the tiny built-in Qwen2";
}

using System.Globalization;
using Grpo.Reporting;

namespace Grpo.Samples.Gsm8k;

/// <summary>The last words of a run.</summary>
internal static class RunEnd
{
    public static IEnumerable<string> Lines(TrainingSummary summary)
    {
        yield return string.Create(CultureInfo.InvariantCulture,
            $"{(summary.Cancelled ? "Stopped" : "Done")} after {summary.Steps} steps, {summary.CompletionTokens} completion tokens, {summary.Elapsed:hh\\:mm\\:ss}.");
        if (summary is { Before: { } before, After: { } after })
        {
            yield return $"Held-out accuracy: {TrainingView.Percent(before.Accuracy)} before, {TrainingView.Percent(after.Accuracy)} after, {after.Count} problems.";
        }

        if (summary.Checkpoint is { } checkpoint)
        {
            yield return $"Checkpoint: {checkpoint}";
        }
    }
}

/// <summary>Says where the report is, once it is written.</summary>
internal sealed class ReportPath(HtmlReport report) : ITrainingCallback
{
    public ValueTask OnEndAsync(TrainingSummary summary)
    {
        Console.WriteLine($"Report: {report.FilePath}");
        return ValueTask.CompletedTask;
    }
}

/// <summary>How the model is called in the display.</summary>
internal static class ModelName
{
    public static string Of(Settings settings) => settings.Run.Model is { Length: > 0 } model ? model : "the tiny built-in Qwen2";
}

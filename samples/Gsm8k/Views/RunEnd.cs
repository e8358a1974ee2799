using System.Globalization;

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

        if (summary.Collapse is { } collapse)
        {
            yield return $"Collapsed: {collapse.Reason}{(summary.RollBacks > 0 ? string.Create(CultureInfo.InvariantCulture, $" Rolled back {summary.RollBacks} times.") : "")}";
        }

        if (summary.Best is { Folder: { } folder } best)
        {
            yield return string.Create(CultureInfo.InvariantCulture, $"Best: step {best.Step}, {TrainingView.Percent(best.Evaluation.Accuracy)}, {folder}");
        }

        if (summary.Checkpoint is { } checkpoint)
        {
            yield return $"Checkpoint: {checkpoint}";
        }
    }
}

/// <summary>How the model is called in the display.</summary>
internal static class ModelName
{
    public static string Of(Settings settings) => settings.Run.Model is { Length: > 0 } model ? model : "the tiny built-in Qwen2";
}

using System.Globalization;
using Grpo.Evaluation;
using Grpo.Training;

namespace Grpo.Samples.Gsm8k;

/// <summary>The result of a <see cref="ControlRun"/>.</summary>
/// <param name="Run">The run.</param>
/// <param name="Summary">The summary of its training.</param>
/// <param name="Form">The share of its completions that have the requested form.</param>
internal sealed record ControlResult(ControlRun Run, TrainingSummary Summary, FormShare Form)
{
    /// <summary>The names of the columns that <see cref="Cells"/> fills.</summary>
    public static IReadOnlyList<string> Columns { get; } =
    [
        "run", "changed", "accuracy before", "after", "95 % intervals", "p (McNemar)", "form, first steps", "last steps", "seconds",
        "tokens",
    ];

    /// <summary>Returns the cells of the run's row in the table.</summary>
    /// <exception cref="InvalidOperationException">The run was not evaluated.</exception>
    public IReadOnlyList<string> Cells()
    {
        if (Summary is not { Before: { AccuracyInterval: { } before } first, After: { AccuracyInterval: { } after } last })
        {
            throw new InvalidOperationException(
                $"The run '{Run.Name}' has no evaluation before and after; controls need held-out "
                + "problems (--eval-dataset with --dataset).");
        }

        PairedComparison comparison = PairedComparison.Create(first, last);
        string apart = before.Overlaps(after) ? "overlap" : after.Low > before.High ? "apart, up" : "apart, down";
        string name = Summary.Collapse is { } collapse
            ? string.Create(
                CultureInfo.InvariantCulture,
                $"{Run.Name} (stopped after step {collapse.Step}; best {TrainingView.Percent(Summary.Best?.Evaluation.Accuracy)} "
                + $"after step {Summary.Best?.Step} kept)")
            : Run.Name;
        return
        [
            name, Run.Change, Share(first.Accuracy!.Value, before), Share(last.Accuracy!.Value, after), apart,
            comparison.PValue.ToString("G2", CultureInfo.InvariantCulture), Percent(Form.First), Percent(Form.Last),
            Summary.Elapsed.TotalSeconds.ToString("F0", CultureInfo.InvariantCulture),
            Summary.CompletionTokens.ToString("N0", CultureInfo.InvariantCulture),
        ];
    }

    private static string Share(double value, ConfidenceInterval interval) => string.Create(
        CultureInfo.InvariantCulture, $"{100 * value:F1} ({100 * interval.Low:F1}-{100 * interval.High:F1})");

    private static string Percent(double value) => (100 * value).ToString("F1", CultureInfo.InvariantCulture);
}

using System.Globalization;
using Grpo.Evaluation;
using Grpo.IO;
using Spectre.Console;

namespace Grpo.Samples.Gsm8k;

/// <summary>Shows an evaluation as tables: in total, by difficulty, by number of samples, and compared with another evaluation.</summary>
internal static class EvaluationView
{
    public static void Write(EvaluationReport report, string format)
    {
        Table table = NewTable("measure", "value", Interval(report.Confidence));
        Add("problems", Count(report.Count));
        Add($"accuracy ({format})", Percent(report.Accuracy), Range(report.AccuracyInterval));
        Add("accuracy (last number)", Percent(report.LenientAccuracy), Range(report.LenientInterval));
        Add("tokens per completion", report.MeanCompletionTokens.ToString("F1", CultureInfo.InvariantCulture));
        foreach ((string verdict, int count) in report.Verdicts)
        {
            Add($"verdict {TerminalText.EscapeLine(verdict)}", Count(count));
        }

        AnsiConsole.Write(table);
        WriteDifficulties(report);
        if (report.Sampled is { } sampled)
        {
            WriteSampled(sampled, report.Confidence);
        }

        void Add(string name, string value, string interval = "") => table.AddRow(Markup.Escape(name), value, interval);
    }

    /// <summary>Writes the comparison of two evaluations of the same problems.</summary>
    public static void Write(PairedComparison comparison, double confidence)
    {
        Table table = NewTable("compared", "value", Interval(confidence));
        Add("problems", Count(comparison.Count));
        Add("accuracy before", Percent(comparison.AccuracyBefore));
        Add("accuracy after", Percent(comparison.AccuracyAfter));
        Add(
            "difference, points", Points(comparison.Difference),
            $"{Points(comparison.DifferenceInterval.Low)} to {Points(comparison.DifferenceInterval.High)}");
        Add("fixed (wrong, then right)", Count(comparison.Fixed));
        Add("broken (right, then wrong)", Count(comparison.Broken));
        Add("right both times", Count(comparison.BothCorrect));
        Add("wrong both times", Count(comparison.NeitherCorrect));
        Add("p (McNemar, exact)", comparison.PValue.ToString("G3", CultureInfo.InvariantCulture));
        AnsiConsole.Write(table);

        void Add(string name, string value, string interval = "") => table.AddRow(Markup.Escape(name), value, interval);
    }

    private static void WriteDifficulties(EvaluationReport report)
    {
        if (report.Difficulties.Count == 0)
        {
            return;
        }

        Table table = NewTable("steps", "problems", "accuracy", Interval(report.Confidence), "last number");
        foreach (DifficultyAccuracy row in report.Difficulties)
        {
            table.AddRow(
                Markup.Escape(row.Difficulty.Length > 0 ? TerminalText.EscapeLine(row.Difficulty) : "-"), Count(row.Count),
                Percent(row.Accuracy), Range(row.Interval), Percent(row.LenientAccuracy));
        }

        AnsiConsole.Write(table);
    }

    private static void WriteSampled(SampledEvaluation sampled, double confidence)
    {
        Table table = NewTable($"k of {Count(sampled.SamplesPerPrompt)}", "pass@k", Interval(confidence), "maj@k", Interval(confidence));
        foreach (SampledAccuracy row in sampled.Accuracies)
        {
            table.AddRow(Count(row.K), Percent(row.Pass), Range(row.PassInterval), Percent(row.Majority), Range(row.MajorityInterval));
        }

        AnsiConsole.Write(table);
    }

    private static Table NewTable(string first, params IReadOnlyList<string> others)
    {
        Table table = new Table().AddColumn(first);
        foreach (string name in others)
        {
            table.AddColumn(new TableColumn(name).RightAligned());
        }

        return table;
    }

    private static string Interval(double confidence) =>
        string.Create(CultureInfo.InvariantCulture, $"{100 * confidence:0.####} % interval");

    private static string Count(int value) => value.ToString(CultureInfo.InvariantCulture);

    private static string Percent(double? value) => TrainingView.Percent(value);

    private static string Points(double value) => (100 * value).ToString("+0.0;-0.0;0.0", CultureInfo.InvariantCulture);

    private static string Range(ConfidenceInterval? interval) => interval is { } range
        ? string.Create(CultureInfo.InvariantCulture, $"{100 * range.Low:F1} to {100 * range.High:F1}")
        : "";
}

using Grpo.Evaluation;
using Grpo.Training;

namespace Grpo.Callbacks;

/// <summary>Writes the head of the page: the run and its results in numbers.</summary>
internal static class SummarySection
{
    public static void Write(
        HtmlWriter page, RunHistory history, TrainingSummary summary, IReadOnlyList<KeyValuePair<string, string>> facts)
    {
        string model = facts.FirstOrDefault(fact => fact.Key.Equals("Model", StringComparison.OrdinalIgnoreCase)).Value ?? "a policy";
        page.Write(
            $"""<header><p class="eyebrow">GRPO run report</p><h1>{(summary.Canceled ? "Stopped after" : "Trained for")} """
            + $"""{Steps(summary.Steps)}</h1><p class="lead">{HtmlText.Cut(model, 200)}""");
        if (history.Start is { } start)
        {
            page.Write($" · seed {start.Options.Seed.ToString(System.Globalization.CultureInfo.InvariantCulture)}");
            if (history.FirstStep > 0)
            {
                page.Write($" · from step {Numbers.Count(history.FirstStep + 1)} on; the steps before it were not recorded");
            }
        }

        page.Write($"</p>");
        if (summary.Canceled)
        {
            page.Write(
                $"""<p class="missing">The run was stopped before its last step; the numbers are those of the steps that were done.</p>""");
        }

        page.Write($"""</header><section class="cards" aria-label="The run in numbers">""");
        WriteAccuracy(page, summary);
        Series reward = history.Metric(ReportMetrics.Reward);
        Card(page, "Mean training reward",
            reward.HasValues ? $"{Numbers.Show(reward.First)} → {Numbers.Show(reward.Last)}" : Numbers.Missing,
            reward.IsJoined ? "in the first and the last steps" : "in the first and the last step");
        WriteOutcome(page, summary);
        Card(page, "Completion tokens", Numbers.Count(summary.CompletionTokens), Speed(history, summary));
        Card(page, "Wall time", Numbers.Time(summary.Elapsed), "evaluations and checkpoints included");
        page.Write($"</section>\n");
    }

    private static void WriteAccuracy(HtmlWriter page, TrainingSummary summary)
    {
        if (summary is not { Before.Accuracy: { } before, After.Accuracy: { } after })
        {
            Card(
                page, "Held-out accuracy", Numbers.Missing,
                summary.After is null ? "the run had no evaluator" : "the reward does not judge correctness");
            return;
        }

        Card(page, "Held-out accuracy", $"{Numbers.Percent(before)} → {Numbers.Percent(after)}",
            $"{Numbers.Signed(Math.Round(100 * (after - before), 1))} points; 95 % intervals {Interval(before, summary.Before)} and "
            + $"{Interval(after, summary.After)}, {Numbers.Count(summary.After.Count)} prompts", "wide");
    }

    private static void WriteOutcome(HtmlWriter page, TrainingSummary summary)
    {
        if (summary.Best is { } best)
        {
            Card(page, "Best evaluation", best.Step == 0 ? "before training" : $"step {Numbers.Count(best.Step)}",
                best.Evaluation.Accuracy is { } accuracy ? $"{Numbers.Percent(accuracy)} held-out accuracy" : "by mean reward");
        }

        if (summary.Collapse is { } collapse)
        {
            Card(page, "Collapse", $"after step {Numbers.Count(collapse.Step)}", collapse.Reason, "wide");
        }

        if (summary.Failure is { } failure)
        {
            Card(page, "Failure", "the run did not end by itself", failure, "wide");
        }
    }

    private static string Interval(double accuracy, EvaluationReport report)
    {
        ConfidenceInterval interval = EvaluationPoint.Interval(accuracy, report);
        return $"{Numbers.Percent(interval.Low)} to {Numbers.Percent(interval.High)}";
    }

    private static string Speed(RunHistory history, TrainingSummary summary)
    {
        double seconds = history.RolloutSeconds + history.ScoringSeconds + history.UpdateSeconds;
        return seconds > 0 ? $"{Numbers.Show(Math.Round(summary.CompletionTokens / seconds))} a second of training" : "sampled in this run";
    }

    private static string Steps(long steps) => $"{Numbers.Count(steps)} {(steps == 1 ? "step" : "steps")}";

    private static void Card(HtmlWriter page, string name, string value, string note, string style = "") =>
        page.Write(
            $"""<div class="card stat {style}"><p class="name">{name}</p><p class="value">{value}</p><p class="note">{note}</p></div>""");
}

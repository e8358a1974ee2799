using System.Globalization;
using Grpo.IO;

namespace Grpo.Evaluation;

/// <summary>
/// The comparison of two evaluations item by item, such as before and after training or of two models. It is sharper than comparing two
/// confidence intervals, because items that are easy or hard for both cancel.
/// </summary>
public sealed record PairedComparison
{
    /// <summary>The number of items.</summary>
    public required int Count { get; init; }

    /// <summary>The number of items that are right in both evaluations.</summary>
    public required int BothCorrect { get; init; }

    /// <summary>The number of items that were wrong before and are right after.</summary>
    public required int Fixed { get; init; }

    /// <summary>The number of items that were right before and are wrong after.</summary>
    public required int Broken { get; init; }

    /// <summary>The number of items that are wrong in both evaluations.</summary>
    public required int NeitherCorrect { get; init; }

    /// <summary>
    /// The confidence interval of <see cref="Difference"/>: Wald's interval for paired proportions with half an item added to each of the
    /// four cells (Agresti and Min, Statistics in Medicine 24 (2005), 729–740).
    /// </summary>
    public required ConfidenceInterval DifferenceInterval { get; init; }

    /// <summary>
    /// The p-value of McNemar's exact two-sided test: the probability that the changed items split at least as unevenly if both evaluations
    /// are equally good (McNemar, Psychometrika 12 (1947), 153–157).
    /// </summary>
    public required double PValue { get; init; }

    /// <summary>The accuracy before.</summary>
    public double AccuracyBefore => (BothCorrect + Broken) / (double)Count;

    /// <summary>The accuracy after.</summary>
    public double AccuracyAfter => (BothCorrect + Fixed) / (double)Count;

    /// <summary>The accuracy after minus the accuracy before.</summary>
    public double Difference => (Fixed - Broken) / (double)Count;

    /// <summary>Compares two evaluations by <see cref="EvaluationItem.Id"/>. The order of the items does not matter.</summary>
    /// <param name="before">The evaluation to compare with.</param>
    /// <param name="after">The evaluation that is compared.</param>
    /// <param name="confidence">The confidence level of the interval, above 0 and at most 0.999999.</param>
    /// <exception cref="ArgumentException">
    /// The reports have different items (an id occurs in one report only, or with another question), an id occurs twice, an item was not
    /// judged, or there are no items.
    /// </exception>
    public static PairedComparison Create(EvaluationReport before, EvaluationReport after, double confidence = 0.95)
    {
        ArgumentNullException.ThrowIfNull(before);
        ArgumentNullException.ThrowIfNull(after);
        Dictionary<string, EvaluationItem> known = ById(before, nameof(before));
        Dictionary<string, EvaluationItem> items = ById(after, nameof(after));
        if (known.Keys.FirstOrDefault(id => !items.ContainsKey(id)) is { } missing)
        {
            throw Different($"'{missing}' is in the first only", before, after);
        }

        if (items.Keys.FirstOrDefault(id => !known.ContainsKey(id)) is { } added)
        {
            throw Different($"'{added}' is in the second only", before, after);
        }

        int both = 0, improved = 0, worsened = 0;
        foreach ((string id, EvaluationItem item) in items)
        {
            if (known[id].Question != item.Question || known[id].Expected != item.Expected)
            {
                throw Different($"'{id}' stands for another question or answer in each", before, after);
            }

            bool first = Judgment(known[id]), second = Judgment(item);
            both += first && second ? 1 : 0;
            improved += !first && second ? 1 : 0;
            worsened += first && !second ? 1 : 0;
        }

        return new PairedComparison
        {
            Count = items.Count,
            BothCorrect = both,
            Fixed = improved,
            Broken = worsened,
            NeitherCorrect = items.Count - both - improved - worsened,
            DifferenceInterval = EvaluationStatistics.PairedDifference(items.Count, improved, worsened, confidence),
            PValue = EvaluationStatistics.McNemar(improved, worsened),
        };
    }

    private static Dictionary<string, EvaluationItem> ById(EvaluationReport report, string parameter)
    {
        if (report.Items.Count == 0)
        {
            throw new ArgumentException(
                "The report has no items to compare. RewardEvaluator and EvaluationFile.Read fill EvaluationReport.Items.", parameter);
        }

        var items = new Dictionary<string, EvaluationItem>(report.Items.Count, StringComparer.Ordinal);
        foreach (EvaluationItem item in report.Items)
        {
            if (!items.TryAdd(item.Id, item))
            {
                throw new ArgumentException($"The item '{TerminalText.EscapeLine(item.Id)}' occurs twice, so that it is not clear what to "
                    + "compare it with. Give each prompt an id of its own.", parameter);
            }
        }

        return items;
    }

    private static bool Judgment(EvaluationItem item) => item.Completion.IsCorrect
        ?? throw new ArgumentException(
            $"The item '{TerminalText.EscapeLine(item.Id)}' was not judged right or wrong. "
            + "Evaluate with a reward that sets Reward.IsCorrect.");

    private static ArgumentException Different(string how, EvaluationReport before, EvaluationReport after) => new(string.Create(
        CultureInfo.InvariantCulture,
        $"The two evaluations are not about the same items: {TerminalText.EscapeLine(how)} ({before.Items.Count} and {after.Items.Count} "
        + $"items). Evaluate both on the same prompts: same data set, same count, same seed of generated problems."));
}

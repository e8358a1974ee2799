using System.Globalization;
using Grpo.IO;

namespace Grpo.Evaluation;

/// <summary>
/// The comparison of two evaluations item by item, such as before and after training or of two models. It detects smaller differences than
/// two separate confidence intervals, because both evaluations answer the same items.
/// </summary>
/// <remarks>
/// The interval is that of Agresti and Min, Statistics in Medicine 24 (2005), 729–740. The test is that of McNemar, Psychometrika 12
/// (1947), 153–157, with the exact binomial distribution.
/// </remarks>
public sealed record PairedComparison
{
    /// <summary>The number of items.</summary>
    public required int Count { get; init; }

    /// <summary>The number of items with a correct answer in both evaluations.</summary>
    public required int BothCorrect { get; init; }

    /// <summary>The number of items with a wrong answer before and a correct one after.</summary>
    public required int Fixed { get; init; }

    /// <summary>The number of items with a correct answer before and a wrong one after.</summary>
    public required int Broken { get; init; }

    /// <summary>The number of items with a wrong answer in both evaluations.</summary>
    public required int NeitherCorrect { get; init; }

    /// <summary>
    /// The confidence interval of <see cref="Difference"/>, by Wald's method for paired proportions, within −1 to 1. Half an item is first
    /// added to each of <see cref="BothCorrect"/>, <see cref="Fixed"/>, <see cref="Broken"/> and <see cref="NeitherCorrect"/>.
    /// </summary>
    public required ConfidenceInterval DifferenceInterval { get; init; }

    /// <summary>
    /// The p-value of McNemar's exact two-sided test. It is the probability that <see cref="Fixed"/> and <see cref="Broken"/> differ at
    /// least as much as here, given their sum, if both evaluations are equally good. It is 1 if no item changed.
    /// </summary>
    public required double PValue { get; init; }

    /// <summary>The accuracy of the earlier evaluation, 0 to 1.</summary>
    public double AccuracyBefore => (BothCorrect + Broken) / (double)Count;

    /// <summary>The accuracy of the later evaluation, 0 to 1.</summary>
    public double AccuracyAfter => (BothCorrect + Fixed) / (double)Count;

    /// <summary>The accuracy after minus the accuracy before, −1 to 1.</summary>
    public double Difference => (Fixed - Broken) / (double)Count;

    /// <summary>
    /// Compares two evaluations item by item, matched by <see cref="EvaluationItem.Id"/>. The order of the items does not matter.
    /// </summary>
    /// <param name="before">The earlier evaluation, or that of the baseline.</param>
    /// <param name="after">The later evaluation, or that of the other model.</param>
    /// <param name="confidence">The confidence level of the interval, above 0 and at most 0.999999; default 0.95.</param>
    /// <returns>The comparison.</returns>
    /// <exception cref="ArgumentException">
    /// The reports have different items: an id occurs in one report only, or with another question or expected answer. Or an id occurs
    /// twice in a report, an item was not judged, or a report has no items.
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

using System.Globalization;
using Grpo.IO;

namespace Grpo.Evaluation;

/// <summary>
/// Two evaluations of the same items, compared item by item: before and after training, or two models. Sharper than two intervals side by side,
/// since items that are easy or hard for both cancel.
/// </summary>
public sealed record PairedComparison
{
    /// <summary>Items.</summary>
    public required int Count { get; init; }

    /// <summary>Right before and after.</summary>
    public required int BothCorrect { get; init; }

    /// <summary>Wrong before, right after.</summary>
    public required int Fixed { get; init; }

    /// <summary>Right before, wrong after.</summary>
    public required int Broken { get; init; }

    /// <summary>Wrong before and after.</summary>
    public required int NeitherCorrect { get; init; }

    /// <summary>Interval of <see cref="Difference"/>, <see cref="EvaluationStatistics.PairedDifference"/>.</summary>
    public required ConfidenceInterval DifferenceInterval { get; init; }

    /// <summary>
    /// <see cref="EvaluationStatistics.McNemar"/>: how probable so uneven a split of the changed items is when the two are equally good.
    /// </summary>
    public required double PValue { get; init; }

    /// <summary>Accuracy before.</summary>
    public double AccuracyBefore => (BothCorrect + Broken) / (double)Count;

    /// <summary>Accuracy after.</summary>
    public double AccuracyAfter => (BothCorrect + Fixed) / (double)Count;

    /// <summary>Accuracy after minus accuracy before.</summary>
    public double Difference => (Fixed - Broken) / (double)Count;

    /// <summary>Compares by <see cref="EvaluationItem.Id"/>; the order of the items does not matter.</summary>
    /// <param name="before">The one to compare with.</param>
    /// <param name="after">The one that is compared.</param>
    /// <param name="confidence">Of the interval; above 0, at most 0.999999.</param>
    /// <exception cref="ArgumentException">
    /// The reports are not about the same items (an id is in one only, or stands for another question), an id occurs twice, an item was
    /// not judged, or there are no items.
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

            bool first = Judgement(known[id]), second = Judgement(item);
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
            throw new ArgumentException("The report has no items to compare. RewardEvaluator and EvaluationFile.Read fill EvaluationReport.Items.", parameter);
        }

        var items = new Dictionary<string, EvaluationItem>(report.Items.Count, StringComparer.Ordinal);
        foreach (EvaluationItem item in report.Items)
        {
            if (!items.TryAdd(item.Id, item))
            {
                throw new ArgumentException($"The item '{TerminalText.EscapeLine(item.Id)}' occurs twice, so that it is not clear what to compare it with. Give each prompt an id of its own.", parameter);
            }
        }

        return items;
    }

    private static bool Judgement(EvaluationItem item) => item.Completion.IsCorrect
        ?? throw new ArgumentException($"The item '{TerminalText.EscapeLine(item.Id)}' was not judged right or wrong. Evaluate with a reward that sets Reward.IsCorrect.");

    private static ArgumentException Different(string how, EvaluationReport before, EvaluationReport after) => new(string.Create(
        CultureInfo.InvariantCulture,
        $"The two evaluations are not about the same items: {TerminalText.EscapeLine(how)} ({before.Items.Count} and {after.Items.Count} items). " +
        $"Evaluate both on the same prompts: same data set, same count, same seed of generated problems."));
}

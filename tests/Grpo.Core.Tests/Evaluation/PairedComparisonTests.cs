using Grpo.Evaluation;

namespace Grpo.Core.Tests.Evaluation;

public sealed class PairedComparisonTests
{
    [Fact]
    public async Task Create_counts_what_was_fixed_and_broken()
    {
        EvaluationReport before = await Judged.EvaluateAsync("r", "r", "w", "w", "w", "w", "w", "r");
        EvaluationReport after = await Judged.EvaluateAsync("r", "w", "r", "r", "r", "w", "w", "r");
        PairedComparison comparison = PairedComparison.Create(before, after);

        Assert.Equal(
            (8, 2, 3, 1, 2), (comparison.Count, comparison.BothCorrect, comparison.Fixed, comparison.Broken, comparison.NeitherCorrect));
        Assert.Equal((0.375, 0.625, 0.25), (comparison.AccuracyBefore, comparison.AccuracyAfter, comparison.Difference));
        Assert.Equal(0.625, comparison.PValue); // 2·(1 + 4)/16
        Assert.Equal(EvaluationStatistics.PairedDifference(8, 3, 1), comparison.DifferenceInterval);
        Assert.Equal(EvaluationStatistics.PairedDifference(8, 3, 1, 0.5), PairedComparison.Create(before, after, 0.5).DifferenceInterval);

        PairedComparison back = PairedComparison.Create(after, before);
        Assert.Equal((1, 3, -0.25, 0.625), (back.Fixed, back.Broken, back.Difference, back.PValue));
    }

    [Fact]
    public async Task Create_pairs_by_id_and_not_by_place()
    {
        EvaluationReport before = await Judged.EvaluateAsync("r", "w", "w");
        EvaluationReport after = await Judged.EvaluateAsync("r", "w", "r");
        PairedComparison comparison = PairedComparison.Create(before, after with { Items = [.. after.Items.Reverse()] });
        Assert.Equal((1, 1, 0, 1), (comparison.BothCorrect, comparison.Fixed, comparison.Broken, comparison.NeitherCorrect));
    }

    [Fact]
    public async Task Create_refuses_other_items()
    {
        EvaluationReport three = await Judged.EvaluateAsync("r", "w", "w"), two = await Judged.EvaluateAsync("r", "w");
        Assert.StartsWith(
            "The two evaluations are not about the same items: '2' is in the first only (3 and 2 items). Evaluate both on the same prompts",
            Assert.Throws<ArgumentException>(() => PairedComparison.Create(three, two)).Message,
            StringComparison.Ordinal);
        Assert.Contains(
            "'2' is in the second only (2 and 3 items)",
            Assert.Throws<ArgumentException>(() => PairedComparison.Create(two, three)).Message, StringComparison.Ordinal);

        // Generated problems of another seed can have the same names.
        EvaluationReport other = two with { Items = [two.Items[0], two.Items[1] with { Question = "another question" }] };
        EvaluationReport gold = two with { Items = [two.Items[0] with { Expected = "8" }, two.Items[1]] };
        Assert.Contains(
            "'1' stands for another question or answer in each",
            Assert.Throws<ArgumentException>(() => PairedComparison.Create(two, other)).Message, StringComparison.Ordinal);
        Assert.Contains(
            "'0' stands for another question or answer in each",
            Assert.Throws<ArgumentException>(() => PairedComparison.Create(two, gold)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Create_refuses_what_cannot_be_paired()
    {
        EvaluationReport report = await Judged.EvaluateAsync("r", "w"), unjudged = await Judged.EvaluateAsync("r", "x");
        Assert.StartsWith(
            "The item '1' was not judged right or wrong.",
            Assert.Throws<ArgumentException>(() => PairedComparison.Create(report, unjudged)).Message, StringComparison.Ordinal);
        Assert.StartsWith("The report has no items to compare.", Assert.Throws<ArgumentException>(
            () => PairedComparison.Create(report, new EvaluationReport { Count = 2 })).Message, StringComparison.Ordinal);
        EvaluationReport twice = report with { Items = [.. report.Items, report.Items[0]] };
        Assert.StartsWith(
            "The item '0' occurs twice", Assert.Throws<ArgumentException>(() => PairedComparison.Create(report, twice)).Message,
            StringComparison.Ordinal);
    }
}

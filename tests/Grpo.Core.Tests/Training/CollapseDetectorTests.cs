using Grpo.Evaluation;
using Grpo.Training;

namespace Grpo.Core.Tests.Training;

public sealed class CollapseDetectorTests
{
    [Theory]
    [InlineData(0.60, 0.10, 512, true)]
    [InlineData(0.60, 0.55, 64, false)]      // 5 points
    [InlineData(0.60, 0.41, 100_000, false)] // certain, but within the bound
    [InlineData(0.60, 0.30, 16, false)]      // z = 0.30 / √(0.45·0.55/8) = 1.7
    [InlineData(0.60, 0.35, 64, false)]      // z = 0.25 / √(0.475·0.525/32) = 2.83
    [InlineData(0.60, 0.30, 64, true)]       // z = 0.30 / √(0.45·0.55/32) = 3.41
    [InlineData(0.15, 0.00, 512, true)]      // lost less than 0.2, but all there was
    [InlineData(0.15, 0.08, 10_000, false)]  // less than half of it
    [InlineData(0.05, 0.00, 64, false)]      // 3 of 64 may be luck
    [InlineData(0.50, 0.90, 512, false)]
    [InlineData(0.00, 0.00, 512, false)]
    [InlineData(1.00, 1.00, 512, false)]
    public void HasFallen_needs_a_large_drop_that_chance_does_not_explain(double best, double now, int count, bool expected) =>
        Assert.Equal(expected, CollapseDetector.HasFallen(Report(best, count), Report(now, count), 0.2));

    [Fact]
    public void HasFallen_says_nothing_without_accuracies()
    {
        Assert.False(CollapseDetector.HasFallen(Report(0.9, 512), new EvaluationReport { Count = 512 }, 0.2));
        Assert.False(CollapseDetector.HasFallen(new EvaluationReport { Count = 512 }, Report(0.1, 512), 0.2));
        Assert.False(CollapseDetector.HasFallen(Report(0.9, 0), Report(0.1, 512), 0.2));
    }

    [Fact]
    public void FindReason_compares_with_the_best_and_only_after_an_evaluation()
    {
        var progress = new TrainingProgress();
        progress.Add(0, Report(0.3, 512));
        progress.Add(10, Report(0.6, 512));
        progress.Add(20, Report(0.35, 512));
        Assert.Equal(
            "The held-out accuracy fell from 0.600 at step 10 to 0.350, on 512 problems.",
            CollapseDetector.FindReason(new CollapseGuard(), progress, 20));
        Assert.Null(CollapseDetector.FindReason(new CollapseGuard(), progress, 21));
        Assert.Null(CollapseDetector.FindReason(new CollapseGuard { MaxAccuracyDrop = null }, progress, 20));
        Assert.Null(CollapseDetector.FindReason(new CollapseGuard { MaxAccuracyDrop = 0.26 }, progress, 20));
    }

    [Fact]
    public void FindReason_looks_at_the_mean_entropy_of_the_last_steps()
    {
        var guard = new CollapseGuard { MinEntropyFraction = 0.1, EntropySteps = 3 };
        // means 0.817, 0.217, then 0.15; the bound is 0.2
        Assert.Equal([null, null, null, null, Text], Reasons(guard, 2, 0.3, 0.15, 0.2, 0.1));
        Assert.Equal([null, null], Reasons(guard, 2, 0.01));                                   // two steps are too few
        Assert.All(Reasons(new CollapseGuard(), 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), Assert.Null);
        Assert.Equal([null, null, null], Reasons(guard, 2, null, 0));                          // not recorded: not counted
    }

    private const string Text = "The mean entropy of the last 3 steps is 0.15 nats, below 0.1 of the first step's 2.";

    private static IEnumerable<string?> Reasons(CollapseGuard guard, params IReadOnlyList<double?> entropies)
    {
        var progress = new TrainingProgress();
        return entropies.Select((entropy, step) =>
        {
            progress.Add(entropy, guard.EntropySteps);
            return CollapseDetector.FindReason(guard, progress, step + 1);
        });
    }

    private static EvaluationReport Report(double accuracy, int count) => new() { Count = count, Accuracy = accuracy };
}

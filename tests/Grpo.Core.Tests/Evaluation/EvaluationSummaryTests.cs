using Grpo.Evaluation;

namespace Grpo.Core.Tests.Evaluation;

public sealed class EvaluationSummaryTests
{
    [Fact]
    public async Task Accuracy_and_lenient_accuracy_stand_side_by_side_with_their_intervals()
    {
        // Strictly right: 2 of 5; leniently right, by capitals: 3 of 5. The sixth is not judged by either.
        EvaluationReport report = await Judged.EvaluateAsync("R", "r", "W", "W", "w", "x");

        Assert.Equal(6, report.Count);
        Assert.Equal(0.4, report.Accuracy);
        Assert.Equal(0.6, report.LenientAccuracy);
        Assert.Equal(EvaluationStatistics.Wilson(2, 5), report.AccuracyInterval);
        Assert.Equal(EvaluationStatistics.Wilson(3, 5), report.LenientInterval);
        Assert.Equal(0.4, report.MeanReward);
        Assert.Equal(new Dictionary<string, int> { ["Correct"] = 2, ["Wrong"] = 3 }, report.Verdicts);
        Assert.Equal([true, false, true, true, false, null], report.Items.Select(item => item.Completion.IsCorrectLeniently));
        Assert.Null(report.Sampled);
        Assert.Empty(report.Difficulties);
    }

    [Fact]
    public async Task Lenient_measure_is_found_in_the_part_of_a_weighted_sum()
    {
        IRewardFunction sum = RewardFunction.WeightedSum(
            (new NamedReward("length", _ => 1.0), 0.1), (new NamedReward("judge", Judged.Score), 1.0));
        EvaluationReport report = await Judged.EvaluateAsync(Judged.Prompts("1", "1"), [["W7"], ["r8"]], reward: sum);

        Assert.Equal((0.5, 0.5), (report.Accuracy, report.LenientAccuracy));
        Assert.Equal([true, false], report.Items.Select(item => item.Completion.IsCorrectLeniently));
        Assert.Equal(["7", "8"], report.Items.Select(item => item.Completion.Answer));
    }

    [Fact]
    public async Task Lenient_measure_is_off_when_no_component_is_named() =>
        Assert.Null(
            (await Judged.EvaluateAsync(Judged.Prompts("1"), [["R"]], new EvaluationOptions { LenientComponent = null })).LenientAccuracy);

    [Fact]
    public async Task Lenient_measure_that_is_no_judgment_is_refused()
    {
        var reward = new Toy.TestReward((_, _) => new Reward(1) { Components = new Dictionary<string, double?> { ["lenient"] = 0.5 } });
        var exception = await Assert.ThrowsAsync<InvalidOperationException>(
            () => Judged.EvaluateAsync(Judged.Prompts("1"), [["R"]], reward: reward));
        Assert.StartsWith(
            "The reward's component 'lenient' is 0.5 on prompt '0', but a lenient judgment must be 0, 1 or null.", exception.Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task Difficulties_are_ordered_as_numbers_and_count_judged_completions()
    {
        EvaluationReport report = await Judged.EvaluateAsync(
            Judged.Prompts("10", "2", "hard", null, "2", "2"), [["r"], ["R"], ["w"], ["r"], ["W"], ["x"]]);

        Assert.Equal(["2", "10", "hard", ""], report.Difficulties.Select(row => row.Difficulty));
        Assert.Equal([2, 1, 1, 1], report.Difficulties.Select(row => row.Count));
        Assert.Equal([0.5, 1, 0, 1], report.Difficulties.Select(row => row.Accuracy));
        Assert.Equal([1.0, 0, 0, 0], report.Difficulties.Select(row => row.LenientAccuracy!.Value));
        Assert.Equal(EvaluationStatistics.Wilson(1, 2), report.Difficulties[0].Interval);
        Assert.Equal(["10", "2", "hard", null, "2", "2"], report.Items.Select(item => item.Difficulty));
    }

    [Fact]
    public async Task Difficulty_is_the_field_that_is_named()
    {
        Prompt prompt = Judged.Prompts("3")[0] with { Fields = new Dictionary<string, string> { ["steps"] = "3", ["unit"] = "km" } };
        EvaluationReport named = await Judged.EvaluateAsync([prompt], [["r"]], new EvaluationOptions { DifficultyField = "unit" });
        EvaluationReport none = await Judged.EvaluateAsync([prompt], [["r"]], new EvaluationOptions { DifficultyField = null });
        Assert.Equal("km", Assert.Single(named.Difficulties).Difficulty);
        Assert.Empty(none.Difficulties);
    }

    [Fact]
    public async Task Sampled_accuracies_are_means_over_the_prompts()
    {
        // Correct of four samples: 2 and 0. pass@1 = (1/2 + 0)/2, pass@2 = (1 − C(2,2)/C(4,2))/2 = (5/6)/2, pass@4 = 1/2.
        EvaluationReport report = await Judged.EvaluateAsync(
            Judged.Prompts("1", "1"), [["w1", "w1", "r2", "r2", "w3"], ["r5", "w1", "w1", "w2", "w3"]]);

        Assert.Equal(0.5, report.Accuracy); // of the greedy completions: the samples say nothing about it
        SampledEvaluation sampled = report.Sampled!;
        Assert.Equal((4, 0.25, 2.0), (sampled.SamplesPerPrompt, sampled.MeanReward, sampled.MeanCompletionTokens));
        Assert.Equal([1, 2, 4], sampled.Accuracies.Select(row => row.K));
        Assert.Equal([0.25, 5 / 12.0, 0.5], sampled.Accuracies.Select(row => Math.Round(row.Pass, 14)), new Near(1e-13));
        Assert.Equal(EvaluationStatistics.Wilson(0.5, 2).High, sampled.Accuracies[0].PassInterval.High, tolerance: 1e-14);
        // The first sample of the first prompt is wrong; of the first two the earlier wins the tie; of all four "2" wins.
        Assert.Equal([0, 0, 0.5], sampled.Accuracies.Select(row => row.Majority!.Value));
        Assert.Equal(EvaluationStatistics.Wilson(1, 2), sampled.Accuracies[2].MajorityInterval);
        Assert.Equal(new Dictionary<string, int> { ["Correct"] = 2, ["Wrong"] = 6 }, sampled.Verdicts);
        Assert.Equal(["w1", "r2", "r2", "w3"], report.Items[0].Samples.Select(sample => sample.Text));
    }

    [Fact]
    public async Task Sampled_accuracies_take_the_k_that_are_asked_for()
    {
        EvaluationReport report = await Judged.EvaluateAsync(
            Judged.Prompts("1"), [["w", "w1", "r2", "r2", "w3", "w4", "w5"]], new EvaluationOptions { PassAt = [5, 3, 3], Samples = 6 });
        Assert.Equal([3, 5], report.Sampled!.Accuracies.Select(row => row.K));
        Assert.Equal(0.8, report.Sampled.Accuracies[0].Pass, tolerance: 1e-14); // 1 − C(4,3)/C(6,3) = 1 − 4/20
    }

    [Fact]
    public async Task Samples_that_are_not_judged_leave_pass_at_k_to_the_others()
    {
        EvaluationReport report = await Judged.EvaluateAsync(Judged.Prompts("1", "1"), [["w", "r1", "x", "w2"], ["w", "x", "x", "r1"]]);
        Assert.Equal([(1, 2), (2, 1)], report.Sampled!.Accuracies.Select(row => (row.K, row.Count))); // nobody has three judged samples
        Assert.Equal([0.75, 1], report.Sampled.Accuracies.Select(row => row.Pass));
    }

    [Fact]
    public async Task Majority_is_unknown_when_correct_completions_carry_no_answer_and_0_when_nobody_answers()
    {
        EvaluationReport silent = await Judged.EvaluateAsync(Judged.Prompts("1"), [["w", "r", "w1"]]);
        EvaluationReport wrong = await Judged.EvaluateAsync(Judged.Prompts("1"), [["w", "w", "w"]]);
        Assert.All(silent.Sampled!.Accuracies, row => Assert.Equal((null, null), (row.Majority, row.MajorityInterval)));
        Assert.All(wrong.Sampled!.Accuracies, row => Assert.Equal(0, row.Majority));
    }

    private sealed class NamedReward(string name, Func<Completion, Reward> score) : CompletionReward
    {
        public override string Name => name;

        public override Reward Score(Prompt prompt, Completion completion) => score(completion);
    }

    private sealed class Near(double tolerance) : IEqualityComparer<double>
    {
        public bool Equals(double x, double y) => Math.Abs(x - y) <= tolerance;

        public int GetHashCode(double value) => 0;
    }
}

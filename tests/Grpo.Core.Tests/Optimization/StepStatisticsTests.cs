using Grpo.Optimization;

namespace Grpo.Core.Tests.Optimization;

public sealed class StepStatisticsTests
{
    [Fact]
    public void Report_counts_what_was_sampled_and_scored()
    {
        RolloutGroup first = Toy.Group(Toy.Prompts[0], "ab.", "c", "defg");
        RolloutGroup second = Toy.Group(Toy.Prompts[1], "a.", "b.", "c.");
        StepReport report = StepStatistics.Report(
            7,
            [
                new ScoredGroup(first, [Judged(1, true), Judged(0, false), Reward.Abstain], [0.7, -0.7, 0]),
                new ScoredGroup(second, [Judged(2, true), Judged(2, true), Judged(2, true)], [0, 0, 0]),
            ],
            rewardErrors: 1, updates: []);

        Assert.Equal(7, report.Step);
        Assert.Equal(7 / 5.0, report.MeanReward);                          // 1 + 0 + 2 + 2 + 2; the abstention is no zero
        Assert.Equal(Math.Sqrt(0.5) / 2, report.RewardStdDev, 1e-15);   // of (1, 0) with n − 1, and of three equal ones
        Assert.Equal(4 / 5.0, report.Accuracy);
        Assert.Equal(0.5, report.ZeroStdDevFraction);
        Assert.Equal((0.5, 0.0), (report.AllRightFraction, report.AllWrongFraction));
        Assert.Equal((1, 1), (report.Abstained, report.RewardErrors));
        Assert.Equal(14, report.CompletionTokens);                         // 3 + 1 + 4 + 2 + 2 + 2, end tokens included
        Assert.Equal(14 / 6.0, report.MeanCompletionTokens);
        Assert.Equal(2 / 6.0, report.TruncatedFraction);
        Assert.Equal(new Dictionary<string, int> { ["no"] = 1, ["yes"] = 4 }, report.Verdicts);
        Assert.Equal(new Dictionary<string, double> { ["part"] = 1.5 }, report.RewardComponents); // the null part is left out
        Assert.Null(report.Entropy);
    }

    [Fact]
    public void Report_has_no_spread_for_equal_rewards()
    {
        // 0.1 + 0.1 + 0.1 is not 0.3 in binary, so deviations from a summed mean would leave 1.7e-17.
        ScoredGroup equal = new(Toy.Group(Toy.Prompts[0], "a", "b", "c"), [0.1, 0.1, 0.1], [0, 0, 0]);
        Assert.Equal(0, StepStatistics.Report(1, [equal], 0, []).RewardStdDev);
    }

    [Fact]
    public void Report_splits_the_groups_that_teach_nothing_into_all_right_all_wrong_and_neither()
    {
        ScoredGroup[] groups =
        [
            Dead(Judged(1, true), Judged(1, true)),
            Dead(Judged(0, false), Judged(0, false)),
            Dead(Judged(0, false), Reward.Abstain),                     // the abstention says nothing
            Dead(Judged(1, true), Judged(1, false)),                    // equal rewards, judged both ways
            Dead(1, 1),                                                 // not judged
            Dead(Reward.Abstain, Reward.Abstain),                       // no score
            new ScoredGroup(Toy.Group(Toy.Prompts[0], "a", "b"), [Judged(1, true), Judged(2, true)], [-0.7, 0.7]), // all right, and alive
            new ScoredGroup(Toy.Group(Toy.Prompts[0], "a", "b"), [Judged(1, true), Judged(0, false)], [0.7, -0.7]),
        ];
        StepReport report = StepStatistics.Report(1, groups, 0, []);
        Assert.Equal(6 / 8.0, report.ZeroStdDevFraction);
        Assert.Equal((1 / 8.0, 2 / 8.0), (report.AllRightFraction, report.AllWrongFraction));
        StepReport unjudged = StepStatistics.Report(1, [Dead(1, 1)], 0, []);
        Assert.Equal((1.0, null, null), (unjudged.ZeroStdDevFraction, unjudged.AllRightFraction, unjudged.AllWrongFraction));

        static ScoredGroup Dead(params Reward[] rewards) => new(Toy.Group(Toy.Prompts[0], "a", "b"), rewards, [0, 0]);
    }

    [Fact]
    public void Report_weighs_entropies_by_tokens()
    {
        RolloutGroup group = Toy.Group(Toy.Prompts[0], "abc", "d");
        group = group with { Completions = [group.Completions[0] with { MeanEntropy = 1 }, group.Completions[1] with { MeanEntropy = 3 }] };
        Assert.Equal(1.5, StepStatistics.Report(1, [Toy.Scored(group, 1, -1)], 0, []).Entropy); // (1·3 + 3·1) / 4
    }

    [Fact]
    public void Report_has_no_mean_when_every_reward_abstained()
    {
        var scored = new ScoredGroup(Toy.Group(Toy.Prompts[0], "a", "b"), [Reward.Abstain, Reward.Abstain], [0, 0]);
        StepReport report = StepStatistics.Report(1, [scored], 0, []);
        Assert.True(double.IsNaN(report.MeanReward));
        Assert.Null(report.Accuracy);
        Assert.Equal((2, 0.0, 1.0), (report.Abstained, report.RewardStdDev, report.ZeroStdDevFraction));
    }

    internal static Reward Judged(double value, bool correct) => new(value)
    {
        IsCorrect = correct,
        Verdict = correct ? "yes" : "no",
        Components = new Dictionary<string, double?> { ["part"] = correct ? 1.5 : null },
    };
}

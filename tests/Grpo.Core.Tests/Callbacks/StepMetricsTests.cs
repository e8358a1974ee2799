using Grpo.Callbacks;
using Grpo.Core.Tests.Optimization;
using Grpo.Evaluation;
using Grpo.Losses;
using Grpo.Optimization;

namespace Grpo.Core.Tests.Callbacks;

public sealed class StepMetricsTests
{
    [Fact]
    public void From_has_the_documented_names_in_their_order()
    {
        Assert.Equal(
            [
                "step", "reward", "reward_std", "accuracy", "rewards/part/mean", "frac_reward_zero_std",
                "frac_reward_zero_std/all_right", "frac_reward_zero_std/all_wrong", "sampling/rounds", "sampling/replaced_groups",
                "rewards/abstained", "rewards/errors", "completions/mean_length", "completions/clipped_ratio", "num_tokens", "entropy",
                "loss", "kl", "clip_ratio/low_mean", "clip_ratio/low_min", "clip_ratio/high_mean", "clip_ratio/high_max",
                "clip_ratio/region_mean", "sampling/sampling_logp_difference/mean", "sampling/sampling_logp_difference/max", "grad_norm",
                "learning_rate", "updates", "updates/skipped", "memory/micro_batch_splits", "memory/micro_batch_tokens", "verdicts/no",
                "verdicts/yes", "eval/accuracy", "eval/reward", "eval/mean_length", "time/rollout", "time/scoring", "time/update",
            ],
            StepMetrics.From(FullReport()).Select(metric => metric.Key));
    }

    [Fact]
    public void From_has_the_values_of_the_report()
    {
        Dictionary<string, double> metrics = new(StepMetrics.From(FullReport()));
        Assert.Equal(7, metrics["step"]);
        Assert.Equal(0.5, metrics["reward"]);
        Assert.Equal(2, metrics["entropy"]);
        Assert.Equal(0.2, metrics["loss"], 1e-15);      // the mean of the round, not its last
        Assert.Equal(0.06, metrics["kl"], 1e-15);
        // of the first update
        Assert.Equal((0.01, 0.25), (metrics["sampling/sampling_logp_difference/mean"], metrics["sampling/sampling_logp_difference/max"]));
        Assert.Equal(3, metrics["grad_norm"]);
        Assert.Equal(2e-6, metrics["learning_rate"]);   // the last one used
        Assert.Equal(2, metrics["updates"]);
        Assert.Equal((2, 36), (metrics["memory/micro_batch_splits"], metrics["memory/micro_batch_tokens"]));
        Assert.Equal(0.75, metrics["eval/accuracy"]);
        Assert.Equal(1.5, metrics["time/rollout"]);
    }

    [Fact]
    public void From_leaves_out_what_has_no_value()
    {
        var scored = new ScoredGroup(Toy.Group(Toy.Prompts[0], "a", "b"), [Reward.Abstain, Reward.Abstain], [0, 0]);
        string[] names = [.. StepMetrics.From(StepStatistics.Report(1, [scored], 0, [])).Select(metric => metric.Key)];
        Assert.Equal(
            [
                "step", "reward_std", "frac_reward_zero_std", "sampling/rounds", "sampling/replaced_groups", "rewards/abstained",
                "rewards/errors", "completions/mean_length", "completions/clipped_ratio", "num_tokens", "updates", "updates/skipped",
                "memory/micro_batch_splits", "time/rollout", "time/scoring", "time/update",
            ],
            names); // no reward (NaN), no accuracy, no entropy, no loss: nothing was learned
    }

    /// <summary>A step in which everything has a value.</summary>
    internal static TrainingStep FullReport(long step = 7)
    {
        RolloutGroup group = Toy.Group(Toy.Prompts[0], "ab.", "c");
        group = group with { Completions = [.. group.Completions.Select(completion => completion with { MeanEntropy = 2 })] };
        var scored = new ScoredGroup(group, [StepStatisticsTests.Judged(1, true), StepStatisticsTests.Judged(0, false)], [0.7, -0.7]);
        StepReport report = StepStatistics.Report(
            step, [scored], rewardErrors: 0,
            [Update(0.1, 0.04, 2, 1e-6) with { SamplerDifference = new LogProbDifference(0.01, 0.25) }, Update(0.3, 0.08, 4, 2e-6)]) with
        {
            RolloutTime = TimeSpan.FromSeconds(1.5),
            MicroBatchSplits = 2,
            MicroBatchTokens = 36,
        };
        return new TrainingStep(report)
        {
            Evaluation = new EvaluationReport { Count = 4, Accuracy = 0.75, MeanReward = 0.5, MeanCompletionTokens = 3 },
        };
    }

    private static UpdateReport Update(double loss, double kl, double norm, double learningRate) => new()
    {
        Loss = loss,
        Kl = kl,
        Clip = new ClipMetrics(LowMean: 0.1, HighMean: 0.2, RegionMean: 0.3, LowMin: 0.05, HighMax: 0.4),
        GradientNorm = norm,
        LearningRate = learningRate,
    };
}

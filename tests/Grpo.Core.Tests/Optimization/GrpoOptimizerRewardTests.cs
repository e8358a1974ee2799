using Grpo.Scoring;
using Grpo.Testing;
using Microsoft.Extensions.Logging;

namespace Grpo.Core.Tests.Optimization;

/// <summary>What failing, abstaining and slow rewards do to a step.</summary>
public sealed class GrpoOptimizerRewardTests : IDisposable
{
    private readonly BigramPolicy _policy = Toy.Policy();
    private readonly ListLogger<GrpoOptimizer> _logger = new();

    [Theory]
    [InlineData(double.NaN, "NaN")]
    [InlineData(double.PositiveInfinity, "Infinity")]
    public async Task StepAsync_refuses_a_reward_that_is_not_finite(double value, string text)
    {
        float[] weights = _policy.Weights();
        using GrpoOptimizer optimizer = Optimizer((prompt, _) => prompt.Id == "p1" ? value : 1);
        var exception = await Assert.ThrowsAsync<RewardException>(() => optimizer.StepAsync(Toy.Prompts));
        Assert.Equal(("Test", "p1", 0), (exception.RewardName, exception.PromptId, exception.CompletionIndex));
        Assert.Contains(
            $"returned {text}, which is not a finite number, on completion 0 of prompt 'p1'", exception.Message, StringComparison.Ordinal);
        Assert.Equal(weights, _policy.Weights());
        Assert.Equal(0, optimizer.Step);
    }

    [Fact]
    public async Task StepAsync_counts_failures_and_says_what_the_first_was_when_they_abstain()
    {
        using GrpoOptimizer optimizer = Optimizer(
            (prompt, completion) => prompt.Id == "p2" ? throw new FormatException("no number") : completion.Text.Length,
            Toy.Options with { Rewards = new RewardOptions { OnError = RewardErrorHandling.Abstain } });
        StepReport report = await optimizer.StepAsync(Toy.Prompts);
        Assert.Equal((6, 6), (report.RewardErrors, report.Abstained));
        ScoredGroup failed = report.Groups[2];
        Assert.All(failed.Rewards, reward => Assert.Equal((null, "Error"), (reward.Value, reward.Verdict)));
        Assert.All(failed.Advantages, advantage => Assert.Equal(0.0, advantage));
        Assert.NotEmpty(report.Updates);
        Assert.Contains(
            (LogLevel.Warning, 22,
                "6 rewards failed and were left out. The first: Reward 'Test' threw FormatException (no number) on completion 0 of prompt "
                + "'p2'. To leave such completions out instead, set RewardOptions.OnError to Abstain."),
            _logger.Entries);
        Assert.Contains((LogLevel.Warning, 21, "Reward Test abstained on 6 of 24 completions."), _logger.Entries);
    }

    [Fact]
    public async Task StepAsync_learns_nothing_and_says_so_when_every_reward_abstains()
    {
        float[] weights = _policy.Weights();
        using GrpoOptimizer optimizer = Optimizer((_, _) => Reward.Abstain);
        StepReport report = await optimizer.StepAsync(Toy.Prompts);
        Assert.Empty(report.Updates);
        Assert.True(double.IsNaN(report.MeanReward));
        Assert.Equal(weights, _policy.Weights());
        Assert.Contains(
            (LogLevel.Information, 2,
                "Step 1: every advantage is 0 and the loss has neither a KL term nor an entropy bonus; the weights were left alone."),
            _logger.Entries);
    }

    [Fact]
    public async Task StepAsync_waits_for_a_slow_reward_on_another_thread_and_then_goes_on()
    {
        using var optimizer = new GrpoOptimizer(_policy, Toy.Sampler, new SlowReward(), Toy.Options);
        for (int step = 1; step <= 3; step++)
        {
            StepReport report = await optimizer.StepAsync(Toy.Prompts);
            Assert.Equal(step, report.Step);
            Assert.NotEmpty(report.Updates);
            Assert.True(report.ScoringTime >= TimeSpan.FromMilliseconds(5));
        }

        // The same steps with a reward that does not wait.
        using BigramPolicy other = Toy.Policy();
        using var quick = new GrpoOptimizer(other, Toy.Sampler, new Toy.TestReward((_, completion) => completion.Text.Length), Toy.Options);
        for (int step = 1; step <= 3; step++)
        {
            await quick.StepAsync(Toy.Prompts);
        }

        Assert.Equal(other.Weights(), _policy.Weights());
    }

    [Fact]
    public void Constructor_refuses_reward_options_out_of_range_before_anything_is_sampled()
    {
        var exception = Assert.Throws<ArgumentException>(() => Optimizer(
            (_, _) => 1, Toy.Options with
            {
                Rewards = new RewardOptions { MaxConcurrency = 0, Timeout = TimeSpan.Zero, OnError = (RewardErrorHandling)5 },
            }));
        Assert.StartsWith(
            "OnError is 5 but must be Throw, Abstain. Timeout is 00:00:00 but must be above zero and at most 24 days, or null. "
            + "MaxConcurrency is 0 but must be 1 to 1024.",
            exception.Message, StringComparison.Ordinal);
    }

    public void Dispose() => _policy.Dispose();

    private GrpoOptimizer Optimizer(Func<Prompt, Completion, Reward> score, GrpoOptions? options = null) =>
        new(new GrpoPlugIns(_policy, Toy.Sampler, new Toy.TestReward(score)), options ?? Toy.Options, _logger);

    private sealed class SlowReward : IRewardFunction
    {
        public string Name => "Slow";

        public async ValueTask<IReadOnlyList<Reward>> ScoreAsync(RolloutGroup group, CancellationToken cancellationToken = default)
        {
            await Task.Delay(10, cancellationToken).ConfigureAwait(false);
            return [.. group.Completions.Select(completion => Reward.ToReward(completion.Text.Length))];
        }
    }
}

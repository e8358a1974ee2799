using Grpo.Scoring;

namespace Grpo.Rewards.Tests;

public sealed class RewardFunctionTests
{
    private static readonly RolloutGroup Group = new(
        Prompt.Create("p", "How many?", "42"),
        [1],
        [
            new Completion([1, 2, 3], "<answer>42</answer>", FinishReason.EndToken),
            new Completion([1], "no", FinishReason.EndToken),
        ]);

    [Fact]
    public async Task Create_scores_each_completion_by_name()
    {
        IRewardFunction reward = RewardFunction.Create("length", (prompt, completion) => completion.TokenIds.Count);

        Assert.Equal("length", reward.Name);
        Assert.Equal([3, 1], (await reward.ScoreAsync(Group)).Select(value => value.Value));
        Assert.Throws<ArgumentException>(() => RewardFunction.Create(" ", (prompt, completion) => 1.0));
    }

    [Fact]
    public async Task Create_scores_a_whole_group_and_passes_the_token_on()
    {
        using var source = new CancellationTokenSource();
        CancellationToken seen = default;
        IRewardFunction reward = RewardFunction.Create("rank", async (group, token) =>
        {
            seen = token;
            await Task.Yield();
            return [.. group.Completions.Select((_, index) => (Reward)index)];
        });

        Assert.Equal([0, 1], (await reward.ScoreAsync(Group, source.Token)).Select(value => value.Value));
        Assert.Equal(source.Token, seen);
    }

    [Fact]
    public async Task WeightedSum_adds_the_weighted_values_and_names_its_parts()
    {
        IRewardFunction sum = RewardFunction.WeightedSum(
            (RewardFunction.Create("length", (prompt, completion) => completion.TokenIds.Count), 0.5),
            (new Gsm8kReward(), 2.0));

        IReadOnlyList<Reward> rewards = await sum.ScoreAsync(Group);

        Assert.Equal("length+Gsm8k", sum.Name);
        Assert.Equal([3.5, 0.5], rewards.Select(reward => reward.Value));          // 0.5 · 3 + 2 · 1, 0.5 · 1 + 2 · 0
        Assert.Equal(["Correct", "NoAnswer"], rewards.Select(reward => reward.Verdict));
        Assert.Equal([true, false], rewards.Select(reward => reward.IsCorrect));
        Assert.Equal(
            new Dictionary<string, double?> { ["length"] = 3, ["Gsm8k"] = 1, ["Gsm8k/strict"] = 1, ["Gsm8k/lenient"] = 1 },
            rewards[0].Components);
    }

    [Fact]
    public async Task WeightedSum_abstains_for_the_abstaining_part_only()
    {
        IRewardFunction shy = RewardFunction.Create("shy", (prompt, completion) => completion.Text == "no" ? Reward.Abstain : 4.0);
        IRewardFunction shyer = RewardFunction.Create("shyer", (prompt, completion) => Reward.Abstain);

        IReadOnlyList<Reward> rewards = await RewardFunction.WeightedSum((shy, 0.5), (shyer, 1)).ScoreAsync(Group);

        Assert.Equal(2, rewards[0].Value);
        Assert.Null(rewards[0].Components!["shyer"]);
        Assert.Null(rewards[1].Value);
    }

    [Fact]
    public async Task WeightedSum_names_the_part_that_failed()
    {
        IRewardFunction sum = RewardFunction.WeightedSum(
            (new FormatReward(), 1),
            (RewardFunction.Create("broken", (prompt, completion) => completion.Text == "no" ? double.NaN : 1), 1));

        var error = await Assert.ThrowsAsync<RewardException>(async () => await sum.ScoreAsync(Group));
        RewardScores scores = await RewardScorer.ScoreAsync(sum, [Group], new RewardOptions { OnError = RewardErrorHandling.Abstain });

        Assert.Equal(("broken", (int?)1), (error.RewardName, error.CompletionIndex));
        Assert.Equal([1, null], scores.Rewards[0].Select(reward => reward.Value));
        Assert.Equal(1, scores.Errors);
    }

    [Fact]
    public async Task WeightedSum_lets_slow_parts_wait_together()
    {
        var first = new TaskCompletionSource();
        IRewardFunction waits = RewardFunction.Create("waits", async (group, token) =>
        {
            await first.Task.WaitAsync(TimeSpan.FromSeconds(10), token);
            return [1, 1];
        });
        IRewardFunction frees = RewardFunction.Create("frees", (group, token) =>
        {
            first.SetResult();
            return ValueTask.FromResult<IReadOnlyList<Reward>>([2, 2]);
        });

        Assert.Equal([3, 3], (await RewardFunction.WeightedSum((waits, 1), (frees, 1)).ScoreAsync(Group)).Select(reward => reward.Value));
    }

    [Fact]
    public void WeightedSum_refuses_what_it_cannot_report()
    {
        Assert.Throws<ArgumentException>(() => RewardFunction.WeightedSum());
        Assert.StartsWith(
            "Two rewards of the sum are named 'Format'",
            Assert.Throws<ArgumentException>(() => RewardFunction.WeightedSum((new FormatReward(), 1), (new FormatReward(), 2))).Message,
            StringComparison.Ordinal);
        Assert.StartsWith(
            "The weight of reward 'Format' is NaN but must be a finite number.",
            Assert.Throws<ArgumentException>(() => RewardFunction.WeightedSum((new FormatReward(), double.NaN))).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task WeightedSum_refuses_a_sum_that_overflows()
    {
        IRewardFunction huge = RewardFunction.Create("huge", (prompt, completion) => 1e308);

        await Assert.ThrowsAsync<RewardException>(async () => await RewardFunction.WeightedSum((huge, 10)).ScoreAsync(Group));
    }
}

using Grpo.Scoring;

namespace Grpo.Rewards.Tests;

public sealed class CachedRewardTests
{
    private readonly List<string> _asked = [];

    [Fact]
    public async Task Cached_asks_for_each_completion_once_and_keeps_all_that_a_reward_says()
    {
        IRewardFunction cached = RewardFunction.Cached(
            Inner(text => new Reward(text.Length) { Verdict = text, Components = new Dictionary<string, double?> { ["x"] = 1 } }), 10);

        RewardScores first = await ScoreAsync(cached, Group("p", "a", "bb", "a"));
        RewardScores second = await ScoreAsync(cached, Group("p", "bb", "ccc", "a"));

        Assert.Equal(["a", "bb", "ccc"], _asked);
        Assert.Equal([1, 2, 1], first.Rewards[0].Select(reward => reward.Value));
        Assert.Equal([("bb", 2.0, 1.0), ("ccc", 3, 1), ("a", 1, 1)], second.Rewards[0]
            .Select(reward => (reward.Verdict!, reward.Value!.Value, reward.Components!["x"]!.Value)));
        Assert.Equal("inner", cached.Name);
    }

    [Fact]
    public async Task Cached_tells_prompts_and_endings_apart()
    {
        IRewardFunction cached = RewardFunction.Cached(Inner(text => text.Length), 10);
        RolloutGroup group = Group("p", "a");

        await ScoreAsync(cached, group);
        await ScoreAsync(cached, Group("q", "a"));
        await ScoreAsync(cached, group with { Completions = [group.Completions[0] with { FinishReason = FinishReason.Truncated }] });
        await ScoreAsync(cached, group);

        Assert.Equal(3, _asked.Count);
    }

    [Fact]
    public async Task Cached_forgets_what_was_not_used_for_longest()
    {
        IRewardFunction cached = RewardFunction.Cached(Inner(text => text.Length), 2);

        await ScoreAsync(cached, Group("p", "a", "b"));
        await ScoreAsync(cached, Group("p", "a"));
        await ScoreAsync(cached, Group("p", "c"));
        await ScoreAsync(cached, Group("p", "a", "c"));
        Assert.Equal(["a", "b", "c"], _asked);
        Assert.Equal(2, ((CachedReward)cached).Count);

        await ScoreAsync(cached, Group("p", "b"));
        Assert.Equal(["a", "b", "c", "b"], _asked);
        Assert.Equal(2, ((CachedReward)cached).Count);
    }

    [Fact]
    public async Task Cached_remembers_neither_failures_nor_abstentions()
    {
        bool away = true;
        IRewardFunction cached = RewardFunction.Cached(
            Inner(text => !away
                ? text.Length
                : text == "a" ? Reward.Abstain : text == "b" ? throw new InvalidOperationException("away") : text.Length), 10);

        RewardScores first = await ScoreAsync(cached, Group("p", "ok", "a", "b"), RewardErrorHandling.Abstain);
        Assert.Equal([2, null, null], first.Rewards[0].Select(reward => reward.Value));
        Assert.StartsWith(
            "Reward 'inner' threw InvalidOperationException (away) on completion 2 of prompt 'p'.", first.FirstError!.Message,
            StringComparison.Ordinal);

        // The failing completion is the second that is scored again, and the third of the group.
        RewardScores again = await ScoreAsync(cached, Group("p", "ok", "a", "b"), RewardErrorHandling.Abstain);
        Assert.Equal(2, again.FirstError!.CompletionIndex);

        away = false;
        Assert.Equal([2, 1, 1], (await ScoreAsync(cached, Group("p", "ok", "a", "b"))).Rewards[0].Select(reward => reward.Value));
        Assert.Equal(["ok", "a", "b", "a", "b", "a", "b"], _asked);
    }

    [Fact]
    public async Task Cached_asks_a_group_reward_for_what_is_missing_alone()
    {
        var sizes = new List<int>();
        IRewardFunction cached = RewardFunction.Cached(
            RewardFunction.Create("judge", async (group, token) =>
            {
                sizes.Add(group.Completions.Count);
                await Task.Yield();
                return [.. group.Completions.Select(completion => (Reward)completion.Text.Length)];
            }),
            10);

        await ScoreAsync(cached, Group("p", "a", "b"));
        Assert.Equal([1, 1, 3], (await ScoreAsync(cached, Group("p", "b", "a", "ccc"))).Rewards[0].Select(reward => reward.Value));
        await ScoreAsync(cached, Group("p", "b", "a", "ccc"));

        Assert.Equal([2, 1], sizes);
    }

    [Fact]
    public void Cached_refuses_a_capacity_below_1() =>
        Assert.Throws<ArgumentOutOfRangeException>("capacity", () => RewardFunction.Cached(Inner(_ => 1), 0));

    private static Task<RewardScores> ScoreAsync(
        IRewardFunction reward, RolloutGroup group, RewardErrorHandling onError = RewardErrorHandling.Throw) =>
        RewardScorer.ScoreAsync(reward, [group], new RewardOptions { OnError = onError }).AsTask();

    private static RolloutGroup Group(string prompt, params string[] texts) =>
        new(
            Prompt.Create(prompt, "q"), [1],
            [.. texts.Select(text => new Completion([.. text.Select(letter => (int)letter)], text, FinishReason.EndToken))]);

    private IRewardFunction Inner(Func<string, Reward> score) => RewardFunction.Create("inner", (_, completion) =>
    {
        _asked.Add(completion.Text);
        return score(completion.Text);
    });
}

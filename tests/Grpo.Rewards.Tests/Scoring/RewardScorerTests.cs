using Grpo.Scoring;

namespace Grpo.Rewards.Tests;

[Collection(nameof(RewardCalls))]
public sealed class RewardScorerTests
{
    private static readonly RewardOptions Abstain = new() { OnError = RewardErrorHandling.Abstain };

    [Fact]
    public async Task ScoreAsync_keeps_the_order_of_groups_that_finish_in_reverse()
    {
        var reward = RewardFunction.Create("slow", async (group, token) =>
        {
            int place = int.Parse(group.Prompt.Id, System.Globalization.CultureInfo.InvariantCulture);
            await Task.Delay(TimeSpan.FromMilliseconds(20 * (5 - place)), token);
            return [place, place + 0.5];
        });

        RewardScores scores = await RewardScorer.ScoreAsync(reward, Groups(5, 2), new RewardOptions());

        Assert.Equal([0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5], scores.Rewards.SelectMany(group => group).Select(value => value.Value));
        Assert.Equal(0, scores.Errors);
        Assert.Null(scores.FirstError);
    }

    [Fact]
    public async Task ScoreAsync_never_has_more_groups_waiting_than_allowed()
    {
        int waiting = 0, most = 0;
        var reward = RewardFunction.Create("counts", async (group, token) =>
        {
            int now = Interlocked.Increment(ref waiting);
            InterlockedMax(ref most, now);
            await Task.Delay(10, token);
            Interlocked.Decrement(ref waiting);
            return [1];
        });

        await RewardScorer.ScoreAsync(reward, Groups(12, 1), new RewardOptions { MaxConcurrency = 3 });

        Assert.Equal(3, most);
    }

    [Theory]
    [InlineData(double.NaN, "NaN")]
    [InlineData(double.PositiveInfinity, "Infinity")]
    [InlineData(double.NegativeInfinity, "-Infinity")]
    public async Task ScoreAsync_names_reward_prompt_and_completion_of_a_value_that_is_no_number(double value, string shown)
    {
        var reward = RewardFunction.Create("judge", (prompt, completion) => completion.Text == "1.1" ? value : 1.0);

        var error = await Assert.ThrowsAsync<RewardException>(() => Score(reward, Groups(2, 2), new RewardOptions()));

        Assert.Equal(
            $"Reward 'judge' returned {shown}, which is not a finite number, on completion 1 of prompt '1'. "
            + "To leave such completions out instead, set RewardOptions.OnError to Abstain.",
            error.Message);
        Assert.Equal(("judge", "1", (int?)1), (error.RewardName, error.PromptId, error.CompletionIndex));
    }

    [Fact]
    public async Task ScoreAsync_names_the_completion_on_which_a_reward_threw()
    {
        var cause = new FormatException("no colon");
        var reward = RewardFunction.Create("parser", (prompt, completion) => completion.Text == "0.2" ? throw cause : 1.0);

        var error = await Assert.ThrowsAsync<RewardException>(() => Score(reward, Groups(1, 3), new RewardOptions()));

        Assert.StartsWith(
            "Reward 'parser' threw FormatException (no colon) on completion 2 of prompt '0'.", error.Message, StringComparison.Ordinal);
        Assert.Same(cause, error.InnerException);
    }

    [Fact]
    public async Task ScoreAsync_counts_errors_as_abstentions_when_told()
    {
        var reward = RewardFunction.Create("judge", (prompt, completion) => completion.Text switch
        {
            "0.0" => double.NaN,
            "1.1" => throw new FormatException("no colon"),
            _ => 1.0,
        });

        RewardScores scores = await RewardScorer.ScoreAsync(reward, Groups(2, 2), Abstain);

        Assert.Equal([null, 1, 1, null], scores.Rewards.SelectMany(group => group).Select(value => value.Value));
        Assert.Equal("Error", scores.Rewards[0][0].Verdict);
        Assert.Equal(2, scores.Errors);
        Assert.Equal(0, scores.FirstError!.CompletionIndex);
    }

    [Fact]
    public async Task ScoreAsync_does_not_count_a_plain_abstention_as_an_error()
    {
        var reward = RewardFunction.Create("shy", (prompt, completion) => Reward.Abstain);

        RewardScores scores = await RewardScorer.ScoreAsync(reward, Groups(1, 2), new RewardOptions());

        Assert.Equal([null, null], scores.Rewards[0].Select(value => value.Value));
        Assert.Equal(0, scores.Errors);
    }

    [Fact]
    public async Task ScoreAsync_says_how_many_rewards_came_for_how_many_completions()
    {
        var reward = RewardFunction.Create("short", (group, token) => ValueTask.FromResult<IReadOnlyList<Reward>>([1.0]));

        var error = await Assert.ThrowsAsync<RewardException>(() => Score(reward, Groups(1, 3), new RewardOptions()));
        Assert.StartsWith(
            "Reward 'short' returned 1 rewards for 3 completions on the group of prompt '0'.", error.Message, StringComparison.Ordinal);

        Assert.Equal(6, (await RewardScorer.ScoreAsync(reward, Groups(2, 3), Abstain)).Errors);
    }

    [Fact]
    public async Task ScoreAsync_refuses_null_and_components_that_are_no_numbers()
    {
        var nothing = RewardFunction.Create("nothing", (group, token) => ValueTask.FromResult<IReadOnlyList<Reward>>(null!));
        var part = RewardFunction.Create("part", (prompt, completion) =>
            new Reward(1) { Components = new Dictionary<string, double?> { ["style"] = double.NaN } });

        Assert.Contains(
            "returned null for 1 completions",
            (await Assert.ThrowsAsync<RewardException>(() => Score(nothing, Groups(1, 1), new()))).Message, StringComparison.Ordinal);
        Assert.Contains(
            "NaN in its component 'style'", (await Assert.ThrowsAsync<RewardException>(() => Score(part, Groups(1, 1), new()))).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task ScoreAsync_starts_no_further_group_after_an_error()
    {
        int started = 0;
        var reward = RewardFunction.Create("fails", (prompt, completion) =>
        {
            started++;
            return double.NaN;
        });

        await Assert.ThrowsAsync<RewardException>(() => Score(reward, Groups(50, 1), new RewardOptions()));

        Assert.Equal(1, started);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task ScoreAsync_ends_on_cancellation_with_the_callers_token(bool rewardHeedsToken)
    {
        using var source = new CancellationTokenSource();
        var never = new TaskCompletionSource();
        var reward = RewardFunction.Create("waits", async (group, token) =>
        {
            source.Cancel();
            await never.Task.WaitAsync(rewardHeedsToken ? token : CancellationToken.None);
            return [1];
        });

        var error = await Assert.ThrowsAnyAsync<OperationCanceledException>(
            async () => await RewardScorer.ScoreAsync(reward, Groups(3, 1), Abstain, source.Token));

        Assert.Equal(source.Token, error.CancellationToken);
    }

    [Fact]
    public async Task ScoreAsync_treats_a_cancellation_of_the_rewards_own_as_an_error()
    {
        var reward = RewardFunction.Create(
            "http", (RolloutGroup group, CancellationToken token) => throw new TaskCanceledException("The request took too long."));

        var error = await Assert.ThrowsAsync<RewardException>(() => Score(reward, Groups(1, 1), new RewardOptions()));
        Assert.Contains("threw TaskCanceledException (The request took too long.)", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task ScoreAsync_stops_waiting_after_the_timeout(bool rewardHeedsToken)
    {
        var never = new TaskCompletionSource();
        var reward = RewardFunction.Create("judge", async (group, token) =>
        {
            if (group.Prompt.Id == "1")
            {
                await never.Task.WaitAsync(rewardHeedsToken ? token : CancellationToken.None);
            }

            return [1];
        });
        var options = new RewardOptions { Timeout = TimeSpan.FromSeconds(1) };

        var error = await Assert.ThrowsAsync<RewardException>(() => Score(reward, Groups(3, 1), options));
        Assert.StartsWith(
            "Reward 'judge' took longer than 1 s (RewardOptions.Timeout) on the group of prompt '1'.", error.Message,
            StringComparison.Ordinal);

        RewardScores scores = await RewardScorer.ScoreAsync(reward, Groups(3, 1), options with { OnError = RewardErrorHandling.Abstain });
        Assert.Equal([1, null, 1], scores.Rewards.Select(group => group[0].Value));
    }

    [Fact]
    public async Task ScoreAsync_checks_its_options()
    {
        var reward = RewardFunction.Create("one", (prompt, completion) => 1.0);

        var error = await Assert.ThrowsAsync<ArgumentOutOfRangeException>(
            () => Score(reward, [], new RewardOptions { MaxConcurrency = 0 }));
        Assert.StartsWith("RewardOptions.MaxConcurrency must be 1 to 1024.", error.Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => Score(reward, [], new RewardOptions { Timeout = TimeSpan.Zero }));
        Assert.Empty((await RewardScorer.ScoreAsync(reward, [], new RewardOptions())).Rewards);
    }

    private static Task<RewardScores> Score(IRewardFunction reward, IReadOnlyList<RolloutGroup> groups, RewardOptions options) =>
        RewardScorer.ScoreAsync(reward, groups, options).AsTask();

    /// <summary>Creates groups with the prompts "0", "1" and so on. The text of a completion is "prompt.index".</summary>
    private static List<RolloutGroup> Groups(int count, int size) =>
        [.. Enumerable.Range(0, count).Select(group => new RolloutGroup(
            Prompt.Create($"{group}", "q"),
            [1],
            [.. Enumerable.Range(0, size).Select(index => new Completion([1], $"{group}.{index}", FinishReason.EndToken))]))];

    private static void InterlockedMax(ref int target, int value)
    {
        int seen;
        while (value > (seen = Volatile.Read(ref target)) && Interlocked.CompareExchange(ref target, value, seen) != seen)
        {
        }
    }
}

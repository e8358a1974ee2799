using System.Diagnostics;
using Grpo.Scoring;

namespace Grpo.Rewards.Tests;

/// <summary>The calls that count against a reward: its own calls that are past their time limit and have not returned.</summary>
[Collection(nameof(RewardCalls))]
public sealed class OverdueCallsTests
{
    // Twice the limit of 32 calls.
    private const int Many = 64;

    private static readonly RewardOptions AllAtOnce = new() { MaxConcurrency = Many, Timeout = TimeSpan.FromMinutes(10) };

    [Theory]
    [InlineData("another reward")]
    [InlineData("the same reward")]
    public async Task ScoreAsync_calls_a_reward_after_a_canceled_step(string next)
    {
        var stubborn = new StubbornReward();
        await CancelAsync(stubborn, AllAtOnce);

        stubborn.Waits = false;
        IRewardFunction reward = next == "the same reward" ? stubborn : RewardFunction.Create("fine", (_, _) => 1);
        RewardScores scores = await RewardScorer.ScoreAsync(reward, Groups(Many), AllAtOnce);

        Assert.Equal(0, scores.Errors);
        stubborn.End();
    }

    [Fact]
    public async Task ScoreAsync_calls_a_reward_after_five_canceled_steps()
    {
        var stubborn = new StubbornReward();
        for (int step = 0; step < 5; step++)
        {
            await CancelAsync(stubborn, AllAtOnce with { Timeout = null });
        }

        Assert.Equal(0, RewardCalls.OverdueOf(stubborn)); // without a time limit no call is overdue
        stubborn.End();
    }

    [Fact]
    public async Task ScoreAsync_calls_a_reward_after_a_step_that_an_error_ended()
    {
        var stubborn = new StubbornReward { FailsOn = $"{Many - 1}" };
        await Assert.ThrowsAsync<RewardException>(() => RewardScorer.ScoreAsync(stubborn, Groups(Many), AllAtOnce).AsTask());

        (stubborn.Waits, stubborn.FailsOn) = (false, null);
        RewardScores scores = await RewardScorer.ScoreAsync(stubborn, Groups(2), AllAtOnce);

        Assert.Equal(0, scores.Errors);
        stubborn.End();
    }

    [Fact]
    public async Task ScoreAsync_calls_a_reward_while_another_is_stuck()
    {
        var stuck = new StubbornReward();
        var options = AllAtOnce with { Timeout = TimeSpan.FromMilliseconds(1), OnError = RewardErrorHandling.Abstain };
        await Assert.ThrowsAsync<RewardException>(async () =>
        {
            while (true)
            {
                await RewardScorer.ScoreAsync(stuck, Groups(Many), options);
            }
        });
        Assert.InRange(RewardCalls.OverdueOf(stuck), RewardCalls.MostOverdue, 2 * Many);

        Assert.Equal(0, (await RewardScorer.ScoreAsync(new StubbornReward { Waits = false }, Groups(Many), AllAtOnce)).Errors);
        stuck.End();
    }

    [Fact]
    public async Task ScoreAsync_counts_a_canceled_call_once_its_limit_is_past()
    {
        var stubborn = new StubbornReward();
        await CancelAsync(stubborn, AllAtOnce with { Timeout = TimeSpan.FromSeconds(2) });

        Assert.True(await BecomesAsync(stubborn, Many), $"{RewardCalls.OverdueOf(stubborn)} count.");
        stubborn.End();
        Assert.True(await BecomesAsync(stubborn, 0), $"{RewardCalls.OverdueOf(stubborn)} count after all have come back.");
    }

    // Cancels the scoring when all calls wait.
    private static async Task CancelAsync(StubbornReward reward, RewardOptions options)
    {
        using var source = new CancellationTokenSource();
        Task all = reward.HasBegun(Many);
        Task<RewardScores> scoring = RewardScorer.ScoreAsync(reward, Groups(Many), options, source.Token).AsTask();
        await await Task.WhenAny(all, scoring);
        await source.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => scoring);
    }

    private static async Task<bool> BecomesAsync(IRewardFunction reward, int count)
    {
        for (var clock = Stopwatch.StartNew(); RewardCalls.OverdueOf(reward) != count && clock.Elapsed < TimeSpan.FromSeconds(60);)
        {
            await Task.Delay(5);
        }

        return RewardCalls.OverdueOf(reward) == count;
    }

    private static List<RolloutGroup> Groups(int count) =>
        [.. Enumerable.Range(0, count)
            .Select(group => new RolloutGroup(Prompt.Create($"{group}", "q"), [1], [new Completion([1], "a", FinishReason.EndToken)]))];

    /// <summary>A reward that ignores its cancellation token and waits until the test ends it.</summary>
    private sealed class StubbornReward : IRewardFunction
    {
        private readonly TaskCompletionSource _end = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private TaskCompletionSource _all = new();
        private int _missing = int.MaxValue;

        public string Name => "stubborn";

        public bool Waits { get; set; } = true;

        public string? FailsOn { get; set; }

        public Task HasBegun(int calls)
        {
            _all = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            Volatile.Write(ref _missing, calls);
            return _all.Task;
        }

        public void End() => _end.TrySetResult();

        public async ValueTask<IReadOnlyList<Reward>> ScoreAsync(RolloutGroup group, CancellationToken cancellationToken = default)
        {
            if (group.Prompt.Id == FailsOn)
            {
                throw new InvalidOperationException("out of order");
            }

            if (Interlocked.Decrement(ref _missing) == 0)
            {
                _all.SetResult();
            }

            if (Waits)
            {
                await _end.Task;
            }

            return [1];
        }
    }
}

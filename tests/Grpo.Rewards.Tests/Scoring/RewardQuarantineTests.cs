using System.Diagnostics;
using Grpo.Scoring;

namespace Grpo.Rewards.Tests;

/// <summary>
/// Scoring ends in time whatever a reward's code does. It ends with an error that names the reward, or with a counted abstention.
/// </summary>
[Collection(nameof(RewardCalls))] // one after the other: they wait for time limits
public sealed class RewardQuarantineTests
{
    // Long enough for a correct call on a busy machine.
    private static readonly RewardOptions Patient = new() { Timeout = TimeSpan.FromSeconds(60) };

    // The calls for the other groups return at once and must finish within this time.
    private static readonly RewardOptions Quick = new() { Timeout = TimeSpan.FromSeconds(1) };

    // Far above the limit, and far below forever.
    private static readonly TimeSpan Bound = TimeSpan.FromSeconds(20);

    /// <summary>The name, the behavior of the reward for the group "1", and the beginning of the message.</summary>
    public static TheoryData<string, string> Misbehavior => new()
    {
        { "throws", "Reward 'throws' threw InvalidOperationException (out of order) on the group of prompt '1'." },
        { "throws late", "Reward 'throws late' threw InvalidOperationException (out of order) on the group of prompt '1'." },
        { "hangs", "Reward 'hangs' took longer than 1 s (RewardOptions.Timeout) on the group of prompt '1'." },
        { "loops", "Reward 'loops' took longer than 1 s (RewardOptions.Timeout) on the group of prompt '1'." },
        { "loops after a wait", "Reward 'loops after a wait' took longer than 1 s (RewardOptions.Timeout) on the group of prompt '1'." },
        { "blocks a thread", "Reward 'blocks a thread' took longer than 1 s (RewardOptions.Timeout) on the group of prompt '1'." },
        { "deadlocks", "Reward 'deadlocks' took longer than 1 s (RewardOptions.Timeout) on the group of prompt '1'." },
        { "returns late", "Reward 'returns late' took longer than 1 s (RewardOptions.Timeout) on the group of prompt '1'." },
        { "too few", "Reward 'too few' returned 1 rewards for 2 completions on the group of prompt '1'." },
        { "too many", "Reward 'too many' returned 3 rewards for 2 completions on the group of prompt '1'." },
        { "nothing", "Reward 'nothing' returned null for 2 completions on the group of prompt '1'." },
        { "NaN", "Reward 'NaN' returned NaN, which is not a finite number, on completion 1 of prompt '1'." },
        { "infinite", "Reward 'infinite' returned Infinity, which is not a finite number, on completion 1 of prompt '1'." },
        { "huge", "Reward 'huge' returned 1E+300, beyond ±1e18, which training in float32 cannot carry, on completion 1 of prompt '1'." },
        { "a list that throws", "Reward 'a list that throws' threw NotSupportedException (not a list) on the group of prompt '1'." },
        { "components that throw", "Reward 'components that throw' threw NotSupportedException (not a list) on the group of prompt '1'." },
    };

    [Theory]
    [MemberData(nameof(Misbehavior))]
    public async Task ScoreAsync_names_what_misbehaves_and_ends_in_time(string name, string message)
    {
        using var end = new CancellationTokenSource();
        IRewardFunction reward = Reward(name, end.Token);
        var clock = Stopwatch.StartNew();

        var error = await Assert.ThrowsAsync<RewardException>(() => RewardScorer.ScoreAsync(reward, Groups(3), LimitFor(message)).AsTask());

        Assert.StartsWith(message, error.Message, StringComparison.Ordinal);
        Assert.Equal((name, "1"), (error.RewardName, error.PromptId));
        Assert.True(clock.Elapsed < Bound, $"It took {clock.Elapsed}.");
        await EndAsync(end, reward);
    }

    [Theory]
    [MemberData(nameof(Misbehavior))]
    public async Task ScoreAsync_counts_what_misbehaves_as_abstentions_when_told(string name, string message)
    {
        using var end = new CancellationTokenSource();
        IRewardFunction reward = Reward(name, end.Token);
        var clock = Stopwatch.StartNew();

        RewardScores scores = await RewardScorer.ScoreAsync(
            reward, Groups(3), LimitFor(message) with { OnError = RewardErrorHandling.Abstain });

        bool oneOnly = message.Contains("on completion 1", StringComparison.Ordinal);
        Assert.Equal(
            [0.5, 0.5, oneOnly ? 0.5 : null, null, 0.5, 0.5], scores.Rewards.SelectMany(group => group).Select(reward => reward.Value));
        Assert.Equal(oneOnly ? 1 : 2, scores.Errors);
        Assert.StartsWith(message, scores.FirstError!.Message, StringComparison.Ordinal);
        Assert.True(clock.Elapsed < Bound, $"It took {clock.Elapsed}.");
        await EndAsync(end, reward);
    }

    [Theory]
    [InlineData("hangs")]
    [InlineData("loops")]
    [InlineData("blocks a thread")]
    [InlineData("deadlocks")]
    public async Task ScoreAsync_ends_on_cancellation_while_a_reward_without_time_limit_hangs(string name)
    {
        using CancellationTokenSource end = new(), source = new(TimeSpan.FromMilliseconds(200));
        IRewardFunction reward = Reward(name, end.Token);
        var clock = Stopwatch.StartNew();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => RewardScorer.ScoreAsync(reward, Groups(3), new RewardOptions { Timeout = null }, source.Token).AsTask());

        Assert.True(clock.Elapsed < Bound, $"It took {clock.Elapsed}.");
        await EndAsync(end, reward);
    }

    [Fact]
    public async Task ScoreAsync_may_be_called_by_a_reward()
    {
        var inner = RewardFunction.Create("inner", (_, completion) => completion.Text.Length);
        var outer = RewardFunction.Create(
            "outer", async (group, token) => (await RewardScorer.ScoreAsync(inner, [group], Patient, token)).Rewards[0]);
        var blocking = RewardFunction.Create("blocking", (group, token) =>
            ValueTask.FromResult(RewardScorer.ScoreAsync(outer, [group], Patient, token).AsTask().GetAwaiter().GetResult().Rewards[0]));

        RewardScores scores = await RewardScorer.ScoreAsync(blocking, Groups(2), new RewardOptions());

        Assert.Equal([3, 3, 3, 3], scores.Rewards.SelectMany(group => group).Select(reward => reward.Value));
    }

    [Fact]
    public async Task ScoreAsync_drops_what_comes_late()
    {
        var answer = new TaskCompletionSource();
        bool unobserved = false;
        EventHandler<UnobservedTaskExceptionEventArgs> watch = (_, error) =>
            unobserved |= error.Exception.InnerExceptions.Any(one => one.Message == "late");
        TaskScheduler.UnobservedTaskException += watch;
        try
        {
            await LateAsync();
            for (int i = 0; i < 5; i++)
            {
                GC.Collect();
                GC.WaitForPendingFinalizers();
                await Task.Delay(10);
            }
        }
        finally
        {
            TaskScheduler.UnobservedTaskException -= watch;
        }

        Assert.False(unobserved);

        async Task LateAsync()
        {
            var reward = RewardFunction.Create("late", async (group, _) =>
            {
                await answer.Task;
                return group.Prompt.Id == "0" ? throw new InvalidOperationException("late") : [1, 1];
            });
            RewardScores scores = await RewardScorer.ScoreAsync(reward, Groups(2), Quick with { OnError = RewardErrorHandling.Abstain });
            answer.SetResult();
            Assert.Equal([null, null, null, null], scores.Rewards.SelectMany(group => group).Select(value => value.Value));
        }
    }

    [Fact]
    public async Task ScoreAsync_calls_no_reward_any_more_when_too_many_do_not_come_back()
    {
        using var end = new CancellationTokenSource();
        var stuck = RewardFunction.Create("stuck", (group, token) =>
        {
            end.Token.WaitHandle.WaitOne();
            return ValueTask.FromResult<IReadOnlyList<Reward>>([1, 1]);
        });
        var options = new RewardOptions { Timeout = TimeSpan.FromMilliseconds(1), OnError = RewardErrorHandling.Abstain };

        var error = await Assert.ThrowsAsync<RewardException>(() => RewardScorer.ScoreAsync(stuck, Groups(200), options).AsTask());

        // 32 calls, and those that timed out while the 32nd was counted, because several calls wait at once.
        Assert.Matches(
            "^Reward 'stuck' is not called any more: (3[2-9]|[45][0-9]) calls ran past their time limit and have not come back;",
            error.Message);
        await EndAsync(end, stuck);
        Assert.Equal(0, (await RewardScorer.ScoreAsync(RewardFunction.Create("fine", (_, _) => 1), Groups(2), Patient)).Errors);
    }

    // Abandoned calls must end before the next test, which has limits of its own.
    private static async Task EndAsync(CancellationTokenSource end, IRewardFunction reward)
    {
        await end.CancelAsync();
        for (var clock = Stopwatch.StartNew(); RewardCalls.OverdueOf(reward) > 0 && clock.Elapsed < Bound;)
        {
            await Task.Delay(5);
        }

        Assert.Equal(0, RewardCalls.OverdueOf(reward));
    }

    private static RewardOptions LimitFor(string message) => message.Contains("took longer", StringComparison.Ordinal) ? Quick : Patient;

    private static IRewardFunction Reward(string name, CancellationToken end) => RewardFunction.Create(
        name,
        (group, token) => group.Prompt.Id == "1" ? Misbehave(name, group, end) : ValueTask.FromResult<IReadOnlyList<Reward>>([0.5, 0.5]));

    // None of them observes its cancellation token, so the test ends them.
    private static async ValueTask<IReadOnlyList<Reward>> Misbehave(string name, RolloutGroup group, CancellationToken end)
    {
        switch (name)
        {
            case "throws":
                throw new InvalidOperationException("out of order");
            case "throws late":
                await Task.Yield();
                throw new InvalidOperationException("out of order");
            case "hangs":
                await Task.Delay(Timeout.Infinite, end)
                    .ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
                break;
            case "loops":
                Spin(end);
                break;
            case "loops after a wait":
                await Task.Yield();
                Spin(end);
                break;
            case "blocks a thread":
                end.WaitHandle.WaitOne();
                break;
            case "deadlocks":
                await DeadlockAsync(end);
                break;
            case "returns late":
                await Task.Delay(1500, CancellationToken.None);
                break;
            case "too few":
                return [0.5];
            case "too many":
                return [0.5, 0.5, 0.5];
            case "nothing":
                return null!;
            case "a list that throws":
                return new BrokenList();
            case "components that throw":
                return [0.5, new Reward(0.5) { Components = new BrokenComponents() }];
            default:
                double value = name switch { "NaN" => double.NaN, "infinite" => double.PositiveInfinity, _ => 1e300 };
                return [0.5, value];
        }

        return [.. group.Completions.Select(_ => (Reward)0.5)];
    }

    private static void Spin(CancellationToken end)
    {
        while (!end.IsCancellationRequested)
        {
            Thread.SpinWait(1000);
        }
    }

    // A lock that another thread never releases, as in a deadlock.
    private static async Task DeadlockAsync(CancellationToken end)
    {
        var gate = new object();
        // Without this option, the rest of this method could run inside SetResult on the thread that holds the lock.
        var taken = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _ = Task.Factory.StartNew(
            () =>
            {
                lock (gate)
                {
                    taken.SetResult();
                    end.WaitHandle.WaitOne();
                }
            },
            CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        await taken.Task;
        lock (gate)
        {
            Assert.True(end.IsCancellationRequested);
        }
    }

    private static List<RolloutGroup> Groups(int count) =>
        [.. Enumerable.Range(0, count).Select(group => new RolloutGroup(
            Prompt.Create($"{group}", "q"), [1],
            [.. Enumerable.Range(0, 2).Select(index => new Completion([1, index], $"{group % 10}.{index}", FinishReason.EndToken))]))];

    private sealed class BrokenList : List<Reward>, IReadOnlyList<Reward>
    {
        int IReadOnlyCollection<Reward>.Count => 2;

        Reward IReadOnlyList<Reward>.this[int index] => throw new NotSupportedException("not a list");
    }

    private sealed class BrokenComponents : Dictionary<string, double?>, IReadOnlyDictionary<string, double?>
    {
        IEnumerator<KeyValuePair<string, double?>> IEnumerable<KeyValuePair<string, double?>>.GetEnumerator() =>
            throw new NotSupportedException("not a list");
    }
}

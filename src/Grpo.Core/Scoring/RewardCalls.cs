using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;

namespace Grpo.Scoring;

/// <summary>The calls of one scoring under their limits: each is over after the time limit, or at once on cancellation, whatever the reward does.</summary>
internal sealed class RewardCalls(IRewardFunction reward, TimeSpan? timeout) : IDisposable
{
    /// <summary>The number of overdue calls of a reward function at which it is not called any more.</summary>
    public const int MostOverdue = 32;

    // Of the reward function, not of the process: another one is not to blame, and the same one is stuck whoever calls it.
    private static readonly ConditionalWeakTable<IRewardFunction, OverdueCount> Overdue = [];

    private readonly OverdueCount _overdue = Overdue.GetOrCreateValue(reward);
    private RewardThread _thread = new();

    /// <summary>Returns the number of calls of a reward function that are past their time limit and have not come back.</summary>
    /// <param name="reward">The reward function.</param>
    public static int OverdueOf(IRewardFunction reward) => Overdue.TryGetValue(reward, out OverdueCount? count) ? count.Value : 0;

    /// <summary>Calls the reward on a group; not before the last call waits or is done.</summary>
    /// <param name="group">The group.</param>
    /// <param name="onWait">Called when the reward waits or is left behind, not when it is done at once.</param>
    /// <param name="cancellationToken">Ends the wait for it.</param>
    /// <exception cref="RewardException">Too many earlier calls have not come back.</exception>
    public async Task<RewardOutcome[]> InvokeAsync(RolloutGroup group, Action onWait, CancellationToken cancellationToken)
    {
        if (_overdue.Value is >= MostOverdue and int overdue)
        {
            throw new RewardException(reward.Name, group.Prompt.Id, null, string.Create(CultureInfo.InvariantCulture,
                $"is not called any more: {overdue} calls ran past their time limit and have not come back; it was about to be called"));
        }

        long start = Stopwatch.GetTimestamp();
        var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(timeout ?? Timeout.InfiniteTimeSpan);
        CancellationToken token = limit.Token;
        Task<Task<RewardOutcome[]>> begun = _thread.StartAsync(() => RewardCall.InvokeAsync(reward, group, token));
        Task<RewardOutcome[]> call = begun.Unwrap();
        try
        {
            if (await Task.WhenAny(begun, Task.Delay(Timeout.Infinite, token)).ConfigureAwait(false) != begun)
            {
                _thread.Dispose();
                _thread = new RewardThread(); // the old one is stuck in the call
            }

            // The call's own task: the unwrapped one is done a moment later, in which the next group would begin after an error.
            if (!begun.IsCompletedSuccessfully || !begun.Result.IsCompleted)
            {
                onWait();
            }

            return await call.WaitAsync(token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            string seconds = timeout!.Value.TotalSeconds.ToString("0.###", CultureInfo.InvariantCulture);
            return RewardCall.Fail(group, reward.Name, $"took longer than {seconds} s (RewardOptions.Timeout)");
        }
        finally
        {
            if (call.IsCompleted)
            {
                limit.Dispose();
            }
            else
            {
                bool isCancelled = cancellationToken.IsCancellationRequested;
                _ = LeaveAsync(call, limit, isCancelled ? timeout - Stopwatch.GetElapsedTime(start) : TimeSpan.Zero);
            }
        }
    }

    public void Dispose() => _thread.Dispose();

    // What comes late is dropped, also when it is an exception. A cancelled call counts only if it does not come back within its time limit.
    private async Task LeaveAsync(Task call, CancellationTokenSource limit, TimeSpan? left)
    {
        Task end = call.ContinueWith(
            static done => _ = done.Exception, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        if (left is { } wait && !await EndsWithinAsync(end, wait).ConfigureAwait(false))
        {
            _overdue.Add(1);
            await end.ConfigureAwait(false);
            _overdue.Add(-1);
        }

        await end.ConfigureAwait(false);
        limit.Dispose(); // until then the call may look at its token
    }

    private static async Task<bool> EndsWithinAsync(Task end, TimeSpan wait)
    {
        try
        {
            await end.WaitAsync(wait > TimeSpan.Zero ? wait : TimeSpan.Zero).ConfigureAwait(false);
            return true;
        }
        catch (TimeoutException)
        {
            return false;
        }
    }

    private sealed class OverdueCount
    {
        private int _value;

        public int Value => Volatile.Read(ref _value);

        public void Add(int calls) => Interlocked.Add(ref _value, calls);
    }
}

using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;

namespace Grpo.Scoring;

/// <summary>Runs the calls of one scoring. A call ends after its time limit or on cancellation, even if the reward never returns.</summary>
internal sealed class RewardCalls(IRewardFunction reward, TimeSpan? timeout) : IDisposable
{
    /// <summary>The number of overdue calls at which a reward function is no longer called.</summary>
    public const int MostOverdue = 32;

    // Counted per reward function: a stuck reward is stuck for all callers, and other rewards must stay usable.
    private static readonly ConditionalWeakTable<IRewardFunction, OverdueCount> Overdue = [];

    private readonly OverdueCount _overdue = Overdue.GetOrCreateValue(reward);
    private RewardThread _thread = new();

    /// <summary>Returns the number of a reward function's calls that exceeded their time limit and have not returned.</summary>
    /// <param name="reward">The reward function.</param>
    public static int OverdueOf(IRewardFunction reward) => Overdue.TryGetValue(reward, out OverdueCount? count) ? count.Value : 0;

    /// <summary>Calls the reward on a group, after the previous call has returned or begun to wait.</summary>
    /// <param name="group">The group.</param>
    /// <param name="onWait">Called if the reward waits or is abandoned, but not if it returns at once.</param>
    /// <param name="cancellationToken">A token that ends the wait for the reward.</param>
    /// <exception cref="RewardException">Too many earlier calls have not returned.</exception>
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

            // Checks the inner task. The unwrapped one completes a moment later, and the next group could start in between after an error.
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
                bool isCanceled = cancellationToken.IsCancellationRequested;
                _ = AbandonAsync(call, limit, isCanceled ? timeout - Stopwatch.GetElapsedTime(start) : TimeSpan.Zero);
            }
        }
    }

    public void Dispose() => _thread.Dispose();

    // Drops a late result or exception. A canceled call counts as overdue only if it does not return within its time limit.
    private async Task AbandonAsync(Task call, CancellationTokenSource limit, TimeSpan? left)
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
        limit.Dispose(); // only now, because the call may use its token until it returns
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

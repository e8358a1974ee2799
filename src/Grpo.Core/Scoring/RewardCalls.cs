using System.Globalization;

namespace Grpo;

/// <summary>The calls of one scoring under their limits: each is over after the time limit, or at once on cancellation, whatever the reward does.</summary>
internal sealed class RewardCalls(IRewardFunction reward, TimeSpan? timeout) : IDisposable
{
    /// <summary>Calls that may be left behind in a process before no further reward is called.</summary>
    public const int MostLeftBehind = 32;

    private static int leftBehind;

    private RewardThread _thread = new();

    /// <summary>Calls of this process that ran past their limit and have not come back.</summary>
    public static int LeftBehind => Volatile.Read(ref leftBehind);

    /// <summary>Calls the reward on a group; not before the last call waits or is done.</summary>
    /// <param name="group">The group.</param>
    /// <param name="onWait">Called when the reward waits or is left behind, not when it is done at once.</param>
    /// <param name="cancellationToken">Ends the wait for it.</param>
    /// <exception cref="RewardException">Too many earlier calls have not come back.</exception>
    public async Task<RewardOutcome[]> InvokeAsync(RolloutGroup group, Action onWait, CancellationToken cancellationToken)
    {
        if (LeftBehind >= MostLeftBehind)
        {
            throw new RewardException(reward.Name, group.Prompt.Id, null, string.Create(CultureInfo.InvariantCulture,
                $"is not called any more: {LeftBehind} calls ran past their time limit and have not come back; it was about to be called"));
        }

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
            Leave(call, limit);
        }
    }

    public void Dispose() => _thread.Dispose();

    // What comes late is dropped, also when it is an exception. Until then the call counts, and may look at its token.
    private static void Leave(Task call, CancellationTokenSource limit)
    {
        if (call.IsCompleted)
        {
            limit.Dispose();
            return;
        }

        Interlocked.Increment(ref leftBehind);
        call.ContinueWith(
            done =>
            {
                _ = done.Exception;
                Interlocked.Decrement(ref leftBehind);
                limit.Dispose();
            },
            CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
    }
}

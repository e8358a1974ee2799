namespace Grpo.Hub;

/// <summary>A counter of failures in a row that waits between attempts, longer each time.</summary>
internal sealed class RetryBudget(HubSettings settings, int maxAttempts)
{
    private static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(30);
    private int _failures;

    /// <summary>Resets the count after progress: a large file over a bad line needs many short attempts.</summary>
    public void Reset() => _failures = 0;

    /// <summary>Waits for the next attempt, or throws the failure if none is left.</summary>
    public async Task WaitAsync(HubTransientException failure, CancellationToken cancellationToken)
    {
        _failures++;
        if (_failures >= maxAttempts)
        {
            throw maxAttempts == 1 ? failure : new HubTransientException($"{failure.Message} All {maxAttempts} attempts failed.", failure);
        }

        // Ticks as a double: a delay that doubles a hundred times is beyond the range of TimeSpan.
        double ticks = failure.RetryAfter?.Ticks ?? settings.RetryDelay.Ticks * Math.Pow(2, _failures - 1);
        TimeSpan wait = TimeSpan.FromTicks((long)Math.Min(ticks, LongestWait.Ticks));
        settings.Logger.Retrying(failure.Message, _failures + 1, maxAttempts, wait);
        await Task.Delay(wait, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Runs an attempt until it succeeds, fails for good, or the budget is spent.</summary>
    public async Task<T> RunAsync<T>(Func<Task<T>> attempt, CancellationToken cancellationToken)
    {
        while (true)
        {
            try
            {
                return await attempt().ConfigureAwait(false);
            }
            catch (HubTransientException e)
            {
                await WaitAsync(e, cancellationToken).ConfigureAwait(false);
            }
        }
    }
}

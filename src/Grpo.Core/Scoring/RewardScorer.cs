using System.Runtime.ExceptionServices;

namespace Grpo.Scoring;

/// <summary>Scores groups: several waiting at a time, in a fixed order, every reward checked.</summary>
/// <remarks>
/// Reward code runs on a thread of its own, where it may block, loop for ever or deadlock: after <see cref="RewardOptions.Timeout"/>, or on
/// cancellation, it is left behind. A thread cannot be ended from outside, so what is left behind keeps running. When 32 calls of a reward
/// function are past their time limit and have not come back, that function is not called any more: scoring ends with a
/// <see cref="RewardException"/>, whatever <see cref="RewardOptions.OnError"/> says. Calls that were cancelled count only once their own limit
/// is past. What no process survives, a stack overflow or exhausted memory, ends this one too.
/// </remarks>
public static class RewardScorer
{
    /// <summary>Scores the groups.</summary>
    /// <param name="reward">The reward function.</param>
    /// <param name="groups">The groups; they start in this order, each when the one before waits or is done.</param>
    /// <param name="options">Errors, time limit and concurrency.</param>
    /// <param name="cancellationToken">Ends the wait, also that for a reward function which ignores its token.</param>
    /// <returns>The rewards in the order of the groups, whatever the order in which they came.</returns>
    /// <exception cref="RewardException">
    /// A reward function threw, took too long, or returned NaN, ∞, a number beyond ±1e18 or the wrong number of rewards, and
    /// <see cref="RewardOptions.OnError"/> is <see cref="RewardErrorHandling.Throw"/>. No further group is started then.
    /// </exception>
    /// <exception cref="InvalidOperationException">The reward function has no name.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public static async ValueTask<RewardScores> ScoreAsync(
        IRewardFunction reward, IReadOnlyList<RolloutGroup> groups, RewardOptions options, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(reward);
        ArgumentNullException.ThrowIfNull(groups);
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        if (string.IsNullOrWhiteSpace(reward.Name))
        {
            throw new InvalidOperationException($"{reward.GetType().Name}.{nameof(IRewardFunction.Name)} is null or empty; metrics and errors need a name.");
        }

        cancellationToken.ThrowIfCancellationRequested();

        var outcomes = new RewardOutcome[groups.Count][];
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using var places = new SemaphoreSlim(options.MaxConcurrency);
        using var calls = new RewardCalls(reward, options.Timeout);
        RewardException? refused = null;
        var running = new List<Task>(groups.Count);
        try
        {
            for (int i = 0; i < groups.Count; i++)
            {
                await places.WaitAsync(stop.Token).ConfigureAwait(false);
                var next = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                running.Add(ScoreGroupAsync(i, next));
                await next.Task.ConfigureAwait(false); // rewards that do not wait run one by one: nobody promised that they may run together
            }
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // Either the caller's token or the first error; which one is told below, once nothing is running any more.
        }

        try
        {
            await Task.WhenAll(running).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // The groups that were told to stop: by the caller, or because of another group's error, which Collect throws.
        }

        cancellationToken.ThrowIfCancellationRequested();
        if (refused is not null)
        {
            ExceptionDispatchInfo.Throw(refused);
        }

        return Collect(outcomes, options.OnError);

        async Task ScoreGroupAsync(int index, TaskCompletionSource next)
        {
            try
            {
                outcomes[index] = await calls.InvokeAsync(groups[index], () => next.TrySetResult(), stop.Token).ConfigureAwait(false);
                if (options.OnError == RewardErrorHandling.Throw && outcomes[index].Any(outcome => outcome.Error is not null))
                {
                    await stop.CancelAsync().ConfigureAwait(false);
                }
            }
            catch (RewardException error)
            {
                refused ??= error;
                await stop.CancelAsync().ConfigureAwait(false);
            }
            finally
            {
                next.TrySetResult();
                places.Release();
            }
        }
    }

    private static RewardScores Collect(RewardOutcome[][] outcomes, RewardErrorHandling onError)
    {
        RewardException? first = outcomes.Where(group => group is not null).SelectMany(group => group)
            .Select(outcome => outcome.Error).FirstOrDefault(error => error is not null);
        if (first is not null && onError == RewardErrorHandling.Throw)
        {
            ExceptionDispatchInfo.Throw(first);
        }

        int errors = outcomes.Sum(group => group.Count(outcome => outcome.Error is not null));
        return new RewardScores([.. outcomes.Select(Rewards)], errors) { FirstError = first };

        static IReadOnlyList<Reward> Rewards(RewardOutcome[] group) =>
            [.. group.Select(outcome => outcome.Error is null ? outcome.Reward : Reward.Abstain with { Verdict = "Error" })];
    }
}

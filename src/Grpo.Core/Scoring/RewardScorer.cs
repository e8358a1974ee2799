using System.Globalization;
using System.Runtime.ExceptionServices;

namespace Grpo;

/// <summary>Scores groups: several waiting at a time, in a fixed order, every reward checked.</summary>
public static class RewardScorer
{
    /// <summary>Scores the groups.</summary>
    /// <param name="reward">The reward function.</param>
    /// <param name="groups">The groups; they start in this order, on the caller's thread until the first wait.</param>
    /// <param name="options">Errors, time limit and concurrency.</param>
    /// <param name="cancellationToken">Ends the wait, also that for a reward function which ignores its token.</param>
    /// <returns>The rewards in the order of the groups, whatever the order in which they came.</returns>
    /// <exception cref="RewardException">
    /// A reward function threw, took too long, or returned NaN, ∞ or the wrong number of rewards, and
    /// <see cref="RewardOptions.OnError"/> is <see cref="RewardErrorHandling.Throw"/>. No further group is started then.
    /// </exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public static async ValueTask<RewardScores> ScoreAsync(
        IRewardFunction reward, IReadOnlyList<RolloutGroup> groups, RewardOptions options, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(reward);
        ArgumentNullException.ThrowIfNull(groups);
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        cancellationToken.ThrowIfCancellationRequested();

        var outcomes = new RewardOutcome[groups.Count][];
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using var places = new SemaphoreSlim(options.MaxConcurrency);
        var running = new List<Task>(groups.Count);
        try
        {
            for (int i = 0; i < groups.Count; i++)
            {
                await places.WaitAsync(stop.Token).ConfigureAwait(false);
                running.Add(ScoreGroupAsync(i));
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
        return Collect(outcomes, options.OnError);

        async Task ScoreGroupAsync(int index)
        {
            try
            {
                outcomes[index] = await InvokeAsync(reward, groups[index], options.Timeout, stop.Token).ConfigureAwait(false);
                if (options.OnError == RewardErrorHandling.Throw && outcomes[index].Any(outcome => outcome.Error is not null))
                {
                    await stop.CancelAsync().ConfigureAwait(false);
                }
            }
            finally
            {
                places.Release();
            }
        }
    }

    private static async Task<RewardOutcome[]> InvokeAsync(
        IRewardFunction reward, RolloutGroup group, TimeSpan? timeout, CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(timeout ?? Timeout.InfiniteTimeSpan);
        Task<RewardOutcome[]> call = RewardCall.InvokeAsync(reward, group, limit.Token).AsTask();
        try
        {
            return await call.WaitAsync(limit.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            string seconds = timeout!.Value.TotalSeconds.ToString("0.###", CultureInfo.InvariantCulture);
            return RewardCall.Fail(group, reward.Name, $"took longer than {seconds} s (RewardOptions.Timeout)");
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

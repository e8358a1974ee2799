using System.Runtime.ExceptionServices;

namespace Grpo.Scoring;

/// <summary>Scores groups in a fixed order, several at a time if they wait, and checks every reward.</summary>
/// <remarks>
/// Reward code runs on a thread of its own, where it may block, loop or deadlock. After <see cref="RewardOptions.Timeout"/>, or on
/// cancellation, the call is abandoned; it keeps running, because a thread cannot be ended from outside. A reward function with 32 overdue
/// calls is no longer called: scoring ends with a <see cref="RewardException"/>, whatever <see cref="RewardOptions.OnError"/> says. A
/// canceled call is overdue only after its own time limit. A stack overflow or exhausted memory still ends the process.
/// </remarks>
internal static class RewardScorer
{
    /// <summary>Scores the groups.</summary>
    /// <param name="reward">The reward function.</param>
    /// <param name="groups">The groups. They start in this order, each when the previous one waits or is done.</param>
    /// <param name="options">The error handling, time limit and concurrency.</param>
    /// <param name="cancellationToken">A token that ends the wait, even for a reward function that ignores its token.</param>
    /// <returns>The rewards, in the order of the groups.</returns>
    /// <exception cref="RewardException">
    /// A reward function threw, exceeded its time limit, or returned NaN, ∞, a number beyond ±1e18 or a wrong number of rewards, and
    /// <see cref="RewardOptions.OnError"/> is <see cref="RewardErrorHandling.Throw"/>. No further group is started.
    /// </exception>
    /// <exception cref="InvalidOperationException">The reward function has no name.</exception>
    /// <exception cref="OperationCanceledException">The token was canceled.</exception>
    public static async ValueTask<RewardScores> ScoreAsync(
        IRewardFunction reward, IReadOnlyList<RolloutGroup> groups, RewardOptions options, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(reward);
        ArgumentNullException.ThrowIfNull(groups);
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        if (string.IsNullOrWhiteSpace(reward.Name))
        {
            throw new InvalidOperationException(
                $"{reward.GetType().Name}.{nameof(IRewardFunction.Name)} is null or empty; metrics and errors need a name.");
        }

        cancellationToken.ThrowIfCancellationRequested();

        var outcomes = new RewardOutcome[groups.Count][];
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using var slots = new SemaphoreSlim(options.MaxConcurrency);
        using var calls = new RewardCalls(reward, options.Timeout);
        RewardException? refused = null;
        var running = new List<Task>(groups.Count);
        try
        {
            for (int i = 0; i < groups.Count; i++)
            {
                await slots.WaitAsync(stop.Token).ConfigureAwait(false);
                var next = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                running.Add(ScoreGroupAsync(i, next));
                await next.Task.ConfigureAwait(false); // rewards that do not wait run one by one, because they need not be thread-safe
            }
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // Caused by the caller's token or by the first error. Which one is decided below, when all groups have ended.
        }

        try
        {
            await Task.WhenAll(running).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // Groups were stopped by the caller, or because of another group's error, which Collect throws.
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
                slots.Release();
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

/// <summary>The rewards of scored groups.</summary>
/// <param name="Rewards">One list per group with one reward per completion, in the order of the groups.</param>
/// <param name="Errors">The number of completions that abstain because their reward failed. 0 unless errors count as abstentions.</param>
internal sealed record RewardScores(IReadOnlyList<IReadOnlyList<Reward>> Rewards, int Errors)
{
    /// <summary>The first failure in the order of the groups; null if there was none.</summary>
    public RewardException? FirstError { get; init; }
}

/// <summary>
/// The reaction to a reward function that fails: it throws, exceeds its time limit, or returns NaN, ∞ or a wrong number of rewards.
/// </summary>
public enum RewardErrorHandling
{
    /// <summary>The step ends with a <see cref="RewardException"/>.</summary>
    Throw,

    /// <summary>
    /// The affected completions abstain with the verdict "Error" and are counted as errors. They never get a reward of 0.
    /// </summary>
    Abstain,
}

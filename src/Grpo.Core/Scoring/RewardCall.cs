using System.Globalization;

namespace Grpo.Scoring;

/// <summary>
/// Calls a reward function on one group and returns an outcome per completion. A failure becomes an error that names the completion.
/// </summary>
internal static class RewardCall
{
    /// <summary>Scores a group. Throws nothing but the <see cref="OperationCanceledException"/> of its token.</summary>
    public static async ValueTask<RewardOutcome[]> InvokeAsync(
        IRewardFunction reward, RolloutGroup group, CancellationToken cancellationToken)
    {
        switch (reward)
        {
            case WeightedSumReward sum:
                return await sum.InvokeAsync(group, cancellationToken).ConfigureAwait(false);
            case CachedReward cached:
                return await cached.InvokeAsync(group, cancellationToken).ConfigureAwait(false);
            case CompletionReward each:
                return InvokeEach(each, group, cancellationToken);
            default:
                return await InvokeGroupAsync(reward, group, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Returns one failure for every completion of a group.</summary>
    public static RewardOutcome[] Fail(RolloutGroup group, string name, string problem, Exception? inner = null)
    {
        var outcomes = new RewardOutcome[group.Completions.Count];
        Array.Fill(outcomes, new RewardOutcome(default, new RewardException(name, group.Prompt.Id, null, problem, inner)));
        return outcomes;
    }

    /// <summary>Returns the reward of one completion, or an error if its numbers are not finite or too large.</summary>
    public static RewardOutcome Check(Reward value, IRewardFunction reward, RolloutGroup group, int index)
    {
        if (value.Value is { } number && !double.IsFinite(number))
        {
            return Refuse($"returned {number.ToString(CultureInfo.InvariantCulture)}, which is not a finite number,");
        }

        if (value.Value is { } huge && Math.Abs(huge) > LargestReward)
        {
            return Refuse($"returned {huge.ToString(CultureInfo.InvariantCulture)}, beyond ±1e18, which training in float32 cannot carry,");
        }

        foreach (var (name, part) in value.Components ?? NoComponents)
        {
            if (part is { } component && !double.IsFinite(component))
            {
                string shown = component.ToString(CultureInfo.InvariantCulture);
                return Refuse($"returned {shown} in its component '{name}', which is not a finite number,");
            }
        }

        return new RewardOutcome(value, null);

        RewardOutcome Refuse(string problem) => new(default, new RewardException(reward.Name, group.Prompt.Id, index, problem));
    }

    private static readonly Dictionary<string, double?> NoComponents = [];

    // The gradient norm is the root of a sum of squares in float32, whose largest number is 3.4e38.
    internal const double LargestReward = 1e18;

    // Calls Score directly, so that only the completion that fails is lost and the others keep their rewards.
    private static RewardOutcome[] InvokeEach(CompletionReward reward, RolloutGroup group, CancellationToken cancellationToken)
    {
        var outcomes = new RewardOutcome[group.Completions.Count];
        for (int i = 0; i < outcomes.Length; i++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            try
            {
                outcomes[i] = Check(reward.Score(group.Prompt, group.Completions[i]), reward, group, i);
            }
            catch (Exception error) when (!IsCancellation(error, cancellationToken))
            {
                outcomes[i] = new RewardOutcome(default, new RewardException(reward.Name, group.Prompt.Id, i, Threw(error), error));
            }
        }

        return outcomes;
    }

    private static async ValueTask<RewardOutcome[]> InvokeGroupAsync(
        IRewardFunction reward, RolloutGroup group, CancellationToken cancellationToken)
    {
        try
        {
            cancellationToken.ThrowIfCancellationRequested();
            IReadOnlyList<Reward>? rewards = await reward.ScoreAsync(group, cancellationToken).ConfigureAwait(false);
            if (rewards is null || rewards.Count != group.Completions.Count)
            {
                string returned = rewards is null ? "null" : rewards.Count.ToString(CultureInfo.InvariantCulture) + " rewards";
                string problem = string.Create(
                    CultureInfo.InvariantCulture, $"returned {returned} for {group.Completions.Count} completions");
                return Fail(group, reward.Name, problem);
            }

            // Inside the try block, because reading the list and the components may run code of the reward.
            return [.. Enumerable.Range(0, rewards.Count).Select(index => Check(rewards[index], reward, group, index))];
        }
        catch (RewardException error)
        {
            var outcomes = new RewardOutcome[group.Completions.Count];
            Array.Fill(outcomes, new RewardOutcome(default, error));
            return outcomes;
        }
        catch (Exception error) when (!IsCancellation(error, cancellationToken))
        {
            return Fail(group, reward.Name, Threw(error), error);
        }
    }

    private static bool IsCancellation(Exception error, CancellationToken cancellationToken) =>
        error is OperationCanceledException && cancellationToken.IsCancellationRequested;

    private static string Threw(Exception error) => $"threw {error.GetType().Name} ({error.Message})";
}

/// <summary>The outcome of scoring one completion: a reward, or the error that prevented it.</summary>
/// <param name="Reward">The reward; the default if there is an error.</param>
/// <param name="Error">The error; null if the completion was scored.</param>
internal readonly record struct RewardOutcome(Reward Reward, RewardException? Error);

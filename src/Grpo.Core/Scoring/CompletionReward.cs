namespace Grpo;

/// <summary>
/// The base class of reward functions that score one completion at a time and await nothing. Override <see cref="Score"/>.
/// </summary>
public abstract class CompletionReward : IRewardFunction
{
    /// <inheritdoc/>
    /// <value>By default, the name of the type without a trailing "Reward".</value>
    public virtual string Name
    {
        get
        {
            string name = GetType().Name;
            return name.Length > 6 && name.EndsWith("Reward", StringComparison.Ordinal) ? name[..^6] : name;
        }
    }

    /// <summary>Scores one completion.</summary>
    /// <param name="prompt">The prompt of the completion.</param>
    /// <param name="completion">The completion to score.</param>
    /// <returns>The reward of the completion.</returns>
    public abstract Reward Score(Prompt prompt, Completion completion);

    /// <inheritdoc/>
    public ValueTask<IReadOnlyList<Reward>> ScoreAsync(RolloutGroup group, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(group);
        var rewards = new Reward[group.Completions.Count];
        for (int i = 0; i < rewards.Length; i++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            rewards[i] = Score(group.Prompt, group.Completions[i]);
        }

        return ValueTask.FromResult<IReadOnlyList<Reward>>(rewards);
    }
}

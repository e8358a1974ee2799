namespace Grpo;

/// <summary>Scores completions. Derive from <see cref="CompletionReward"/> when one completion at a time is enough.</summary>
public interface IRewardFunction
{
    /// <summary>Names the reward in metrics and errors.</summary>
    string Name { get; }

    /// <summary>Scores a group. May take its time and may run on any thread: no tensor is alive meanwhile.</summary>
    /// <param name="group">The prompt and its completions.</param>
    /// <param name="cancellationToken">Ends the wait with an <see cref="OperationCanceledException"/>.</param>
    /// <returns>One reward per completion, in their order.</returns>
    ValueTask<IReadOnlyList<Reward>> ScoreAsync(RolloutGroup group, CancellationToken cancellationToken = default);
}

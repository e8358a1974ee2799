namespace Grpo;

/// <summary>
/// A reward function, which scores the completions of a prompt. To score one completion at a time, derive from
/// <see cref="CompletionReward"/>.
/// </summary>
public interface IRewardFunction
{
    /// <summary>The name of the reward function in metrics and errors.</summary>
    string Name { get; }

    /// <summary>Scores a group. The call may take long and may run on any thread. The step holds no temporary tensors meanwhile.</summary>
    /// <param name="group">The prompt and its completions.</param>
    /// <param name="cancellationToken">A token that ends the wait with an <see cref="OperationCanceledException"/>.</param>
    /// <returns>One reward per completion, in the order of the completions.</returns>
    ValueTask<IReadOnlyList<Reward>> ScoreAsync(RolloutGroup group, CancellationToken cancellationToken = default);
}

/// <summary>
/// Implemented by reward functions whose value is a weighted sum of some of their <see cref="Reward.Components"/>. Advantages that
/// normalize each part separately need the weights.
/// </summary>
public interface IWeightedReward : IRewardFunction
{
    /// <summary>The weight of each part by the name of its component. Null if the value is not a weighted sum.</summary>
    IReadOnlyDictionary<string, double>? PartWeights { get; }
}

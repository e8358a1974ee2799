using Grpo.Losses;
using static TorchSharp.torch;

namespace Grpo.Optimization;

/// <summary>Receives the intermediate results of one training step, without changing them.</summary>
internal interface IStepObserver
{
    /// <summary>Receives the rows of the step before its first update.</summary>
    /// <param name="all">The rows of the groups that the step learns from, group by group.</param>
    /// <param name="counted">The rows that count in the denominators of the loss.</param>
    void OnRows(IReadOnlyList<TrainingRow> all, IReadOnlyList<TrainingRow> counted);

    /// <summary>Receives the loss of an update before it runs, also when it restarts with smaller micro-batches.</summary>
    /// <param name="update">The number of the update within the step, from 0.</param>
    /// <param name="settings">The loss.</param>
    void OnUpdate(int update, LossSettings settings);

    /// <summary>Receives the log-probs of a micro-batch of the current update.</summary>
    /// <param name="rows">The rows of the micro-batch.</param>
    /// <param name="logProbs">The policy's log-probs, [B, C]. Borrowed.</param>
    /// <param name="referenceLogProbs">The reference model's log-probs, [B, C]. Borrowed. Null without a KL term in the loss.</param>
    void OnMicroBatch(IReadOnlyList<TrainingRow> rows, Tensor logProbs, Tensor? referenceLogProbs);

    /// <summary>Receives the result of the step.</summary>
    void OnDone(ObservedStep step);
}

/// <summary>The result of a step for its <see cref="IStepObserver"/>.</summary>
/// <param name="Step">The number of the step, from 1.</param>
/// <param name="Rounds">The number of groups of each sampling round.</param>
/// <param name="All">All groups that were sampled.</param>
/// <param name="Chosen">The groups that the step learned from.</param>
/// <param name="Updates">One report per optimizer step.</param>
internal sealed record ObservedStep(
    long Step, IReadOnlyList<int> Rounds, IReadOnlyList<ScoredGroup> All, IReadOnlyList<ScoredGroup> Chosen,
    IReadOnlyList<UpdateReport> Updates)
{
    /// <summary>The limit of a micro-batch that memory has imposed, tokens; null while the configured limits are enough.</summary>
    public int? MicroBatchTokens { get; init; }

    /// <summary>The weights of the reward's parts by name; null when the reward is not a weighted sum.</summary>
    public IReadOnlyDictionary<string, double>? RewardWeights { get; init; }
}

/// <summary>Implemented by callbacks that observe every step of their run from the inside.</summary>
internal interface IStepObserverFactory
{
    /// <summary>Creates the observer of the step that comes next.</summary>
    /// <param name="policy">The policy before the step.</param>
    /// <param name="seed">The seed of the run.</param>
    IStepObserver Observe(IPolicy policy, ulong seed);
}

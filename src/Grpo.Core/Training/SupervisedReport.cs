using Grpo.Optimization;

namespace Grpo.Training;

/// <summary>What one supervised step did.</summary>
/// <param name="Step">The step's number, from 1.</param>
/// <param name="Loss">Mean negative log-likelihood of the completion tokens, nats.</param>
/// <param name="GradientNorm">Length of the gradient before clipping.</param>
/// <param name="LearningRate">The learning rate used.</param>
/// <param name="Tokens">Completion tokens learned from.</param>
public sealed record SupervisedReport(long Step, double Loss, double GradientNorm, double LearningRate, long Tokens)
{
    /// <summary>
    /// Mean negative log-likelihood per completion token of the held-out examples after this step, nats; null when not measured.
    /// </summary>
    public double? HeldOutLoss { get; init; }

    /// <summary>The folder of the checkpoint written after this step; null for none.</summary>
    public string? Checkpoint { get; init; }
}

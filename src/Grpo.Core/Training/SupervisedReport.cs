namespace Grpo.Training;

/// <summary>The measurements of one step of supervised training.</summary>
/// <param name="Step">The number of the step, from 1.</param>
/// <param name="Loss">The mean negative log-likelihood of the completion tokens in nats.</param>
/// <param name="GradientNorm">The L2 norm of the gradient before clipping.</param>
/// <param name="LearningRate">The learning rate of the step.</param>
/// <param name="Tokens">The number of completion tokens in the step.</param>
public sealed record SupervisedReport(long Step, double Loss, double GradientNorm, double LearningRate, long Tokens)
{
    /// <summary>
    /// The mean negative log-likelihood per completion token of the held-out examples after this step, in nats. Null if
    /// it was not measured.
    /// </summary>
    public double? HeldOutLoss { get; init; }

    /// <summary>
    /// The warning that the trained adapter has hardly changed the model, with the learning rate and a better one. It is in the report of
    /// the step that finds it, at most once per run; null otherwise.
    /// </summary>
    public string? AdapterWarning { get; init; }

    /// <summary>The folder of the checkpoint that was written after this step. Null if none was due.</summary>
    public string? Checkpoint { get; init; }
}

using Grpo.Evaluation;
using Grpo.Training;

namespace Grpo;

/// <summary>Follows a training run: metric sinks, progress displays, early stopping by cancellation.</summary>
public interface ITrainingCallback
{
    /// <summary>Before the first step.</summary>
    /// <param name="start">What is about to run.</param>
    /// <param name="cancellationToken">The run's token.</param>
    ValueTask OnStartAsync(TrainingStart start, CancellationToken cancellationToken = default) => ValueTask.CompletedTask;

    /// <summary>
    /// After each step and its evaluation, before its checkpoint: so a step that a checkpoint holds is never missing in what a callback
    /// records, and a step that is repeated after a crash is one that no checkpoint holds. An exception ends the run, after the other
    /// callbacks have heard of the step and its checkpoint is written.
    /// </summary>
    /// <param name="step">The step and its evaluation.</param>
    /// <param name="cancellationToken">The run's token.</param>
    ValueTask OnStepAsync(TrainingStep step, CancellationToken cancellationToken = default) => ValueTask.CompletedTask;

    /// <summary>
    /// After an evaluation that was owed: the step that the run was resumed at is one that is evaluated, and <see cref="OnStepAsync"/>
    /// heard of it without that, since the run was canceled during the evaluation or evaluates at other steps now. Before any other step.
    /// </summary>
    /// <param name="step">The step that it belongs to.</param>
    /// <param name="evaluation">Its result.</param>
    /// <param name="cancellationToken">None: what is known is told to the end.</param>
    ValueTask OnEvaluationAsync(long step, EvaluationReport evaluation, CancellationToken cancellationToken = default) =>
        ValueTask.CompletedTask;

    /// <summary>
    /// After the last step, also when the run was stopped (then <see cref="TrainingSummary.Canceled"/> is set) or failed (then
    /// <see cref="TrainingSummary.Failure"/> is): once, if <see cref="OnStartAsync"/> was called. The last checkpoint is written by then.
    /// </summary>
    /// <param name="summary">The run in numbers.</param>
    ValueTask OnEndAsync(TrainingSummary summary) => ValueTask.CompletedTask;
}

using Grpo.Evaluation;
using Grpo.Training;

namespace Grpo;

/// <summary>
/// Follows a training run, for example to record metrics, show progress or cancel the run early. Override only the methods that are needed.
/// </summary>
public interface ITrainingCallback
{
    /// <summary>Is called once before the first step.</summary>
    /// <param name="start">The plan of the run.</param>
    /// <param name="cancellationToken">The token of the run.</param>
    ValueTask OnStartAsync(TrainingStart start, CancellationToken cancellationToken = default) => ValueTask.CompletedTask;

    /// <summary>
    /// Is called after each step and its evaluation, before its checkpoint. A callback has therefore seen every step that a checkpoint
    /// holds, and a crash repeats only steps that no checkpoint holds. An exception ends the run, after the other callbacks have seen the
    /// step and its checkpoint is written.
    /// </summary>
    /// <param name="step">The step and its evaluation.</param>
    /// <param name="cancellationToken">The token of the run.</param>
    ValueTask OnStepAsync(TrainingStep step, CancellationToken cancellationToken = default) => ValueTask.CompletedTask;

    /// <summary>
    /// Is called before any other step of a resumed run, after the pending evaluation of the step that it resumes at.
    /// <see cref="OnStepAsync"/> reported that step without an evaluation, because the run was canceled during it or now evaluates at other
    /// steps.
    /// </summary>
    /// <param name="step">The step that was evaluated.</param>
    /// <param name="evaluation">The result of the evaluation.</param>
    /// <param name="cancellationToken">A token that is never canceled, so that the result is recorded in any case.</param>
    ValueTask OnEvaluationAsync(long step, EvaluationReport evaluation, CancellationToken cancellationToken = default) =>
        ValueTask.CompletedTask;

    /// <summary>
    /// Is called once at the end of the run if <see cref="OnStartAsync"/> was called, after the last checkpoint is written. It is also
    /// called if the run was stopped (<see cref="TrainingSummary.Canceled"/>) or failed (<see cref="TrainingSummary.Failure"/>).
    /// </summary>
    /// <param name="summary">The results of the run.</param>
    ValueTask OnEndAsync(TrainingSummary summary) => ValueTask.CompletedTask;
}

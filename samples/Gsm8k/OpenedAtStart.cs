namespace Grpo.Samples.Gsm8k;

/// <summary>Opens a callback's files when the run starts, so that nothing is written before everything has been checked.</summary>
/// <param name="open">Opens them.</param>
internal sealed class OpenedAtStart(Func<ITrainingCallback> open) : ITrainingCallback, IDisposable
{
    private ITrainingCallback? _opened;

    public ValueTask OnStartAsync(TrainingStart start, CancellationToken cancellationToken = default) =>
        (_opened = open()).OnStartAsync(start, cancellationToken);

    public ValueTask OnStepAsync(StepReport report, CancellationToken cancellationToken = default) =>
        _opened!.OnStepAsync(report, cancellationToken);

    public ValueTask OnEvaluationAsync(long step, EvaluationReport evaluation, CancellationToken cancellationToken = default) =>
        _opened!.OnEvaluationAsync(step, evaluation, cancellationToken);

    // Told of the end although its files could not be opened, it has nothing to add.
    public ValueTask OnEndAsync(TrainingSummary summary) => _opened?.OnEndAsync(summary) ?? ValueTask.CompletedTask;

    public void Dispose() => (_opened as IDisposable)?.Dispose();
}

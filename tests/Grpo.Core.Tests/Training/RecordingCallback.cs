using Grpo.Checkpoints;
using Grpo.Evaluation;
using Grpo.Training;

namespace Grpo.Core.Tests.Training;

/// <summary>Writes down what it hears.</summary>
internal sealed class RecordingCallback(List<string> log, string name = "") : ITrainingCallback
{
    public List<TrainingStep> Reports { get; } = [];

    public TrainingSummary? Summary { get; private set; }

    /// <summary>Runs inside OnStepAsync.</summary>
    public Action<TrainingStep, CancellationToken>? OnStep { get; init; }

    public ValueTask OnStartAsync(TrainingStart start, CancellationToken cancellationToken = default)
    {
        log.Add($"{name}start {start.FirstStep} to {start.Steps}");
        return ValueTask.CompletedTask;
    }

    public ValueTask OnStepAsync(TrainingStep report, CancellationToken cancellationToken = default)
    {
        log.Add($"{name}step {report.Step}");
        Reports.Add(report);
        OnStep?.Invoke(report, cancellationToken);
        return ValueTask.CompletedTask;
    }

    public ValueTask OnEvaluationAsync(long step, EvaluationReport evaluation, CancellationToken cancellationToken = default)
    {
        log.Add($"{name}evaluation of {step}");
        return ValueTask.CompletedTask;
    }

    public ValueTask OnEndAsync(TrainingSummary summary)
    {
        log.Add($"{name}end {summary.Steps}{(summary.Canceled ? " canceled" : "")}");
        Summary = summary;
        return ValueTask.CompletedTask;
    }
}

/// <summary>Writes down when it is asked, and answers with the number of the call.</summary>
internal sealed class RecordingEvaluator(List<string> log, Action<int>? onCall = null) : IEvaluator
{
    private int _calls;

    public ValueTask<EvaluationReport> EvaluateAsync(IPolicy policy, CancellationToken cancellationToken = default)
    {
        _calls++;
        onCall?.Invoke(_calls);
        cancellationToken.ThrowIfCancellationRequested();
        log.Add("evaluate");
        return ValueTask.FromResult(new EvaluationReport { Count = _calls });
    }
}

/// <summary>Keeps checkpoints in sub-folders of a folder, and writes down which.</summary>
internal sealed class RecordingStore(List<string> log, string folder) : ICheckpointStore
{
    private string? _best;

    public ValueTask<string> SaveAsync(long step, Action<string> write, CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        log.Add($"save {step}");
        string target = Directory.CreateDirectory(
            Path.Combine(folder, step.ToString("D5", System.Globalization.CultureInfo.InvariantCulture))).FullName;
        write(target);
        return ValueTask.FromResult(target);
    }

    public ValueTask<string?> FindLatestAsync(CancellationToken cancellationToken = default) =>
        ValueTask.FromResult(Directory.GetDirectories(folder).Order(StringComparer.Ordinal).LastOrDefault());

    public ValueTask<string?> MarkBestAsync(long step, CancellationToken cancellationToken = default)
    {
        log.Add($"best {step}");
        string target = Path.Combine(folder, step.ToString("D5", System.Globalization.CultureInfo.InvariantCulture));
        _best = Directory.Exists(target) ? target : _best;
        return ValueTask.FromResult(Directory.Exists(target) ? target : null);
    }

    public ValueTask<string?> FindBestAsync(CancellationToken cancellationToken = default) => ValueTask.FromResult(_best);
}

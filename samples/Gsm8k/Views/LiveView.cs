using System.Diagnostics;
using Grpo.Evaluation;
using Grpo.Training;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Grpo.Samples.Gsm8k;

/// <summary>
/// A view that redraws a table after each step: the numbers, the curve of the reward, and one completion with its verdict.
/// </summary>
internal sealed class LiveView(Settings settings, int heldOut) : ITrainingCallback
{
    private readonly LivePicture _picture = new(AnsiConsole.Console);
    private readonly Stopwatch _clock = new();
    private readonly List<double> _rewards = [];
    private readonly TaskCompletionSource _finished = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private LiveDisplayContext? _display;
    private Task _drawing = Task.CompletedTask;
    private long _first;
    private EvaluationReport? _evaluation;

    public async ValueTask OnStartAsync(TrainingStart start, CancellationToken cancellationToken = default)
    {
        _first = start.FirstStep;
        _clock.Start();
        var ready = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _drawing = AnsiConsole.Live(new Text($"Training {ModelName.Of(settings)}: evaluating {heldOut} held-out problems first …"))
            .Overflow(VerticalOverflow.Crop).Cropping(VerticalOverflowCropping.Bottom) // the numbers are at the top
            .StartAsync(async display =>
        {
            _display = display;
            display.Refresh();
            ready.SetResult();
            await _finished.Task;
        });
        await ready.Task;
    }

    public ValueTask OnStepAsync(TrainingStep step, CancellationToken cancellationToken = default)
    {
        _rewards.Add(step.Report.MeanReward);
        _evaluation = step.Evaluation ?? _evaluation;
        _display?.UpdateTarget(Draw(step.Report));
        return ValueTask.CompletedTask;
    }

    public ValueTask OnEvaluationAsync(long step, EvaluationReport evaluation, CancellationToken cancellationToken = default)
    {
        _evaluation = evaluation;
        return ValueTask.CompletedTask;
    }

    public async ValueTask OnEndAsync(TrainingSummary summary)
    {
        _finished.TrySetResult();
        await _drawing;
        foreach (string line in RunEnd.Lines(summary))
        {
            AnsiConsole.WriteLine(line);
        }
    }

    private IRenderable Draw(StepReport report)
    {
        TimeSpan left = _clock.Elapsed / (report.Step - _first) * (settings.Trainer.Steps - report.Step);
        return _picture.Draw(new LiveState(ModelName.Of(settings), settings.Trainer.Steps, report, _evaluation, left, _rewards));
    }
}

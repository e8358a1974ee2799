using System.Diagnostics;
using Grpo.Evaluation;
using Grpo.Training;

namespace Grpo.Samples.Gsm8k;

/// <summary>A view that prints one line per step, for logs and pipes.</summary>
internal sealed class PlainView(Settings settings, int heldOut) : ITrainingCallback
{
    private readonly Stopwatch _clock = new();
    private long _first;

    public ValueTask OnStartAsync(TrainingStart start, CancellationToken cancellationToken = default)
    {
        Console.WriteLine(
            $"Training {ModelName.Of(settings)} on {settings.Run.Device}: {start.Options.PromptsPerStep} prompts x "
            + $"{start.Options.GroupSize} completions, {start.Steps - start.FirstStep} steps, {heldOut} held-out "
            + $"problems, seed {start.Options.Seed}.");
        _first = start.FirstStep;
        _clock.Start();
        return ValueTask.CompletedTask;
    }

    public ValueTask OnStepAsync(TrainingStep step, CancellationToken cancellationToken = default)
    {
        TimeSpan left = _clock.Elapsed / (step.Step - _first) * (settings.Trainer.Steps - step.Step);
        Console.WriteLine(TrainingView.Line(step.Report, settings.Trainer.Steps, left));
        if (step.Step == _first + 1)
        {
            Console.WriteLine(TrainingView.Estimate(step.Report, settings.Trainer.Steps));
        }

        if (step.Evaluation is { } evaluation)
        {
            Console.WriteLine(TrainingView.Evaluation($"after step {step.Step}", evaluation));
        }

        return ValueTask.CompletedTask;
    }

    public ValueTask OnEvaluationAsync(long step, EvaluationReport evaluation, CancellationToken cancellationToken = default)
    {
        Console.WriteLine(TrainingView.Evaluation($"after step {step}", evaluation));
        return ValueTask.CompletedTask;
    }

    public ValueTask OnEndAsync(TrainingSummary summary)
    {
        foreach (string line in RunEnd.Lines(summary))
        {
            Console.WriteLine(line);
        }

        return ValueTask.CompletedTask;
    }
}

using Grpo.Training;

namespace Grpo.Samples.Gsm8k;

/// <summary>A view that shows only the evaluations and the end, for a series of runs.</summary>
internal sealed class EvaluationsView : ITrainingCallback
{
    public ValueTask OnStepAsync(TrainingStep step, CancellationToken cancellationToken = default)
    {
        if (step.Evaluation is { } evaluation)
        {
            Console.WriteLine(TrainingView.Evaluation($"after step {step.Step}", evaluation));
        }

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

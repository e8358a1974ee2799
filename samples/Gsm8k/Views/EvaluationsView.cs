using Grpo.Training;

namespace Grpo.Samples.Gsm8k;

/// <summary>Only the evaluations and the end: for several runs one after the other.</summary>
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

using Grpo.Evaluation;

namespace Grpo.Core.Tests.Training;

/// <summary>Answers with accuracies that the test has written down, the last one from then on.</summary>
internal sealed class ScriptedEvaluator(int count, params IReadOnlyList<double> accuracies) : IEvaluator
{
    public int Calls { get; private set; }

    public ValueTask<EvaluationReport> EvaluateAsync(IPolicy policy, CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        double accuracy = accuracies[Math.Min(Calls++, accuracies.Count - 1)];
        return ValueTask.FromResult(new EvaluationReport { Count = count, Accuracy = accuracy, MeanReward = accuracy });
    }
}

namespace Grpo.Evaluation;

/// <summary>Measures a policy on held-out prompts.</summary>
public interface IEvaluator
{
    /// <summary>Evaluates a policy without changing it.</summary>
    /// <param name="policy">The policy.</param>
    /// <param name="cancellationToken">A token that stops the evaluation with an <see cref="OperationCanceledException"/>.</param>
    /// <returns>The result of the evaluation.</returns>
    ValueTask<EvaluationReport> EvaluateAsync(IPolicy policy, CancellationToken cancellationToken = default);
}

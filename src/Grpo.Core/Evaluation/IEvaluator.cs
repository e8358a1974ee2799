namespace Grpo.Evaluation;

/// <summary>Measures a policy on held-out prompts.</summary>
public interface IEvaluator
{
    /// <summary>Runs the evaluation; the policy is not changed.</summary>
    /// <param name="policy">The policy.</param>
    /// <param name="cancellationToken">Stops with an <see cref="OperationCanceledException"/>.</param>
    ValueTask<EvaluationReport> EvaluateAsync(IPolicy policy, CancellationToken cancellationToken = default);
}

namespace Grpo;

/// <summary>What one supervised step did.</summary>
/// <param name="Step">The step's number, from 1.</param>
/// <param name="Loss">Mean negative log-likelihood of the completion tokens, nats.</param>
/// <param name="GradientNorm">Length of the gradient before clipping.</param>
/// <param name="LearningRate">The learning rate used.</param>
/// <param name="Tokens">Completion tokens learned from.</param>
public sealed record SupervisedReport(long Step, double Loss, double GradientNorm, double LearningRate, long Tokens);

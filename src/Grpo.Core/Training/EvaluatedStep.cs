using Grpo.Evaluation;

namespace Grpo.Training;

/// <summary>An evaluation in a run's history.</summary>
/// <param name="Step">Steps done.</param>
/// <param name="Evaluation">Its numbers, without items and completions.</param>
public sealed record EvaluatedStep(long Step, EvaluationReport Evaluation);

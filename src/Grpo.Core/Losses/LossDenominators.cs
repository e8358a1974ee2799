namespace Grpo.Losses;

/// <summary>What a step's loss is divided by, counted over the whole optimizer step before its first backward pass.</summary>
/// <remarks>That is why neither the micro-batch size nor the order of the sequences can change the gradient.</remarks>
/// <param name="Sequences">Completions of the step, B, those without advantage included.</param>
/// <param name="Tokens">Completion tokens of the step, N.</param>
/// <param name="MaxCompletionTokens">The length limit of a completion.</param>
public readonly record struct LossDenominators(long Sequences, long Tokens, int MaxCompletionTokens);

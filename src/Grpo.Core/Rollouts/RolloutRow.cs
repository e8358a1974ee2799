namespace Grpo.Rollouts;

/// <summary>A sequence that is sampled: its prompt and what has come so far.</summary>
/// <param name="PromptIds">The prompt's tokens.</param>
/// <param name="Completion">Grows.</param>
internal sealed record RolloutRow(IReadOnlyList<int> PromptIds, CompletionBuilder Completion);

namespace Grpo;

/// <summary>A prompt and the completions sampled for it: the group that GRPO compares with itself.</summary>
/// <param name="Prompt">The prompt.</param>
/// <param name="PromptTokenIds">The ids that the policy was given, special tokens included.</param>
/// <param name="Completions">The group, G completions.</param>
public sealed record RolloutGroup(Prompt Prompt, IReadOnlyList<int> PromptTokenIds, IReadOnlyList<Completion> Completions);

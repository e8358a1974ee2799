namespace Grpo;

/// <summary>A prompt and the completions sampled for it. GRPO compares the completions of a group with each other.</summary>
/// <param name="Prompt">The prompt.</param>
/// <param name="PromptTokenIds">The token ids of the prompt as the policy received them, including special tokens.</param>
/// <param name="Completions">The completions of the group, G of them.</param>
public sealed record RolloutGroup(Prompt Prompt, IReadOnlyList<int> PromptTokenIds, IReadOnlyList<Completion> Completions);

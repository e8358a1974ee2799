namespace Grpo.Modeling;

/// <summary>One row of a batch before padding.</summary>
/// <param name="PromptIds">The prompt's ids; at least one.</param>
/// <param name="CompletionIds">The completion's ids; may be empty.</param>
public readonly record struct TokenSequence(IReadOnlyList<int> PromptIds, IReadOnlyList<int> CompletionIds)
{
    /// <summary>Tokens in all.</summary>
    public int Length => PromptIds.Count + CompletionIds.Count;
}

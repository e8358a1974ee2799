namespace Grpo.Callbacks;

/// <summary>A group in a record. The prompt's text is not in it: its ids say what the policy was given.</summary>
/// <param name="PromptId">See <see cref="Prompt.Id"/>; the random numbers of the completions are derived from it.</param>
/// <param name="PromptTokenIds">The ids that the policy was given, special tokens included.</param>
/// <param name="Completions">The group, in the order of its samples.</param>
public sealed record FlightGroup(string PromptId, IReadOnlyList<int> PromptTokenIds, IReadOnlyList<FlightCompletion> Completions);

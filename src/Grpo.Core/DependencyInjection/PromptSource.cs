namespace Grpo.DependencyInjection;

/// <summary>The registered data set: a list of its own would clash with other lists in the container.</summary>
internal sealed record PromptSource(IReadOnlyList<Prompt> Prompts);

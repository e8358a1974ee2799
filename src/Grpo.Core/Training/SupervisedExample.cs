namespace Grpo;

/// <summary>A prompt and the answer to imitate.</summary>
/// <param name="Prompt">The prompt.</param>
/// <param name="Completion">The assistant's text, without the end token: the chat template adds it.</param>
public sealed record SupervisedExample(Prompt Prompt, string Completion);

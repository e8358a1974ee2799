using static TorchSharp.torch;

namespace Grpo.Modeling;

/// <summary>Which rows of a <see cref="TokenBatch"/> have the same prompt, so that a model may compute each of the N prompts once.</summary>
/// <param name="FirstRows">[N] int64: for each prompt, a row that holds it.</param>
/// <param name="PromptOfRow">[B] int64: for each row, the index of its prompt, below N.</param>
public sealed record SharedPrompts(Tensor FirstRows, Tensor PromptOfRow);

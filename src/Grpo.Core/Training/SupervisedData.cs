using Grpo.Modeling;

namespace Grpo;

/// <summary>The data of supervised training: the examples, and the tokenizer and chat template that turn them into tokens.</summary>
/// <param name="Examples">The examples to learn from. At least one.</param>
/// <param name="Tokenizer">The tokenizer of the model.</param>
/// <param name="Template">The chat template of the model.</param>
public sealed record SupervisedData(IReadOnlyList<SupervisedExample> Examples, ITokenizer Tokenizer, IChatTemplate Template)
{
    /// <summary>
    /// The examples that are never learned from. The loss on them is measured every <see cref="SupervisedOptions.EvaluateEvery"/> steps and
    /// after the last step. Empty by default.
    /// </summary>
    public IReadOnlyList<SupervisedExample> HeldOut { get; init; } = [];
}

/// <summary>A prompt and the answer that the model learns to give.</summary>
/// <param name="Prompt">The prompt.</param>
/// <param name="Completion">The text of the assistant, without the end token, which the chat template adds.</param>
public sealed record SupervisedExample(Prompt Prompt, string Completion);

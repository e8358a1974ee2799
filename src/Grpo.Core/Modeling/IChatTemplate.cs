using Microsoft.Extensions.AI;

namespace Grpo.Modeling;

/// <summary>A chat template, which renders a conversation as text in the format that the model was trained on.</summary>
/// <remarks>
/// A template that closes messages with a token implements <see cref="IEndOfTurnTemplate"/>, so that this token ends completions. A
/// template that cannot render answers throws <see cref="NotSupportedException"/>.
/// </remarks>
public interface IChatTemplate
{
    /// <summary>Renders a conversation as text.</summary>
    /// <param name="messages">The messages of the conversation, oldest first.</param>
    /// <param name="addGenerationPrompt">True to append the header of an assistant message, so that the model answers.</param>
    /// <returns>The text to encode.</returns>
    string Render(IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt = true);
}

/// <summary>A chat template that closes each message with an end-of-turn token, such as <c>&lt;|im_end|&gt;</c>.</summary>
/// <remarks>
/// A policy that follows the template ends its answers with that token. It is therefore an end token of every run with the template,
/// regardless of the tokenizer's files.
/// </remarks>
public interface IEndOfTurnTemplate : IChatTemplate
{
    /// <summary>The text of the token that closes a message. It must be exactly one token of the vocabulary.</summary>
    string EndOfTurn { get; }
}

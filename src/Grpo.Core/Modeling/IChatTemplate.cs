using Microsoft.Extensions.AI;

namespace Grpo.Modeling;

/// <summary>Turns a conversation into the text that a model was trained on.</summary>
/// <remarks>
/// A template that closes messages with a token implements <see cref="IEndOfTurnTemplate"/>, so that the token ends completions. One that
/// cannot render an answer throws <see cref="NotSupportedException"/>.
/// </remarks>
public interface IChatTemplate
{
    /// <summary>Renders the messages.</summary>
    /// <param name="messages">The conversation, oldest first.</param>
    /// <param name="addGenerationPrompt">Append the header of an assistant message, so that the model answers.</param>
    string Render(IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt = true);
}

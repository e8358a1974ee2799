using Grpo.Modeling;
using Microsoft.Extensions.AI;

namespace Grpo.Testing;

/// <summary>The texts of the messages, one after the other, and nothing else.</summary>
public sealed class PlainTemplate : IChatTemplate
{
    /// <inheritdoc/>
    public string Render(IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt = true) =>
        string.Concat(messages.Select(message => message.Text));
}

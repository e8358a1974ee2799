using Microsoft.Extensions.AI;

namespace Grpo.Modeling;

/// <summary>Questions that every chat template can answer by rendering.</summary>
public static class ChatTemplateExtensions
{
    /// <summary>
    /// True if each message of a conversation only appends to the text of the messages before it, so that their tokens can be reused.
    /// </summary>
    /// <remarks>
    /// Templates of reasoning models are often not append-only: they drop the thoughts of earlier answers, or treat the last answer in a
    /// way of its own. Nothing is assumed: every beginning of the conversation is rendered.
    /// </remarks>
    /// <param name="template">The chat template.</param>
    /// <param name="messages">The messages of the conversation, oldest first.</param>
    /// <returns>
    /// False if a beginning of the conversation is rendered differently from how it appears in a longer one. A beginning before an answer
    /// includes the header of the answer.
    /// </returns>
    /// <exception cref="NotSupportedException">The template cannot render the whole conversation.</exception>
    public static bool IsAppendOnly(this IChatTemplate template, IReadOnlyList<ChatMessage> messages)
    {
        ArgumentNullException.ThrowIfNull(template);
        ArgumentNullException.ThrowIfNull(messages);
        string longer = template.Render(messages, addGenerationPrompt: false);
        for (int count = messages.Count - 1; count > 0; count--)
        {
            ChatMessage[] beginning = [.. messages.Take(count)];
            if (messages[count].Role == ChatRole.Assistant
                && !longer.StartsWith(template.Render(beginning, addGenerationPrompt: true), StringComparison.Ordinal))
            {
                return false;
            }

            string shorter = template.Render(beginning, addGenerationPrompt: false);
            if (!longer.StartsWith(shorter, StringComparison.Ordinal))
            {
                return false;
            }

            longer = shorter;
        }

        return true;
    }
}

using System.Text;
using Grpo.Modeling;
using Grpo.Models.Qwen.Text;
using Microsoft.Extensions.AI;

namespace Grpo.Models.Qwen;

/// <summary>
/// The chat template of Qwen2 and Qwen2.5 without tools. It renders each message as <c>&lt;|im_start|&gt;role⏎content&lt;|im_end|&gt;⏎</c>.
/// </summary>
/// <remarks>
/// As in the original, text is not escaped: a message that contains <c>&lt;|im_end|&gt;</c> ends there for the model. Images, tool calls
/// and tool results are refused, because the model was not trained on them as plain text.
/// </remarks>
public sealed class QwenChatTemplate : IEndOfTurnTemplate, IHasIdentity
{
    private const string Start = "<|im_start|>";
    private const string End = "<|im_end|>";

    /// <summary>The system message that Qwen2.5 puts before a conversation without one.</summary>
    public const string QwenSystemMessage = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.";

    /// <summary>Creates a template with a default system message.</summary>
    /// <param name="defaultSystemMessage">
    /// The message that comes first if a conversation does not begin with a system message; null for none.
    /// </param>
    public QwenChatTemplate(string? defaultSystemMessage = QwenSystemMessage)
    {
        DefaultSystemMessage = defaultSystemMessage;
    }

    /// <summary>The message that comes first if a conversation does not begin with a system message; null for none.</summary>
    public string? DefaultSystemMessage { get; }

    /// <inheritdoc/>
    public string EndOfTurn => End;

    /// <summary>The texts that must be tokens of the vocabulary.</summary>
    internal static IReadOnlyList<string> Markers { get; } = [Start, End];

    /// <summary>Writes the template as <c>chat_template.jinja</c>, which transformers and <see cref="QwenPretrained"/> read.</summary>
    /// <param name="directory">An existing folder.</param>
    /// <exception cref="DirectoryNotFoundException">The folder does not exist.</exception>
    public void Save(string directory)
    {
        ArgumentException.ThrowIfNullOrEmpty(directory);
        File.WriteAllText(Path.Combine(directory, TokenizerFiles.Template), ChatTemplateText.Write(DefaultSystemMessage));
    }

    /// <inheritdoc/>
    public PlugInIdentity Identity => new PlugInIdentity("Qwen2.5").With("default system message", DefaultSystemMessage);

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">There are no messages.</exception>
    /// <exception cref="NotSupportedException">
    /// A message's role is not system, user or assistant, or it has content other than text.
    /// </exception>
    public string Render(IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt = true)
    {
        ArgumentNullException.ThrowIfNull(messages);
        if (messages.Count == 0)
        {
            throw new ArgumentException("The conversation has no messages; give at least one user message.", nameof(messages));
        }

        var text = new StringBuilder();
        if (DefaultSystemMessage is not null && messages[0].Role != ChatRole.System)
        {
            Append(text, ChatRole.System, DefaultSystemMessage);
        }

        for (int i = 0; i < messages.Count; i++)
        {
            Append(text, messages[i].Role, TextOf(messages[i], i));
        }

        return addGenerationPrompt ? text.Append(Start).Append("assistant\n").ToString() : text.ToString();
    }

    private static void Append(StringBuilder text, ChatRole role, string content) =>
        text.Append(Start).Append(role.Value).Append('\n').Append(content).Append(End).Append('\n');

    private static string TextOf(ChatMessage message, int index)
    {
        if (message.Role != ChatRole.System && message.Role != ChatRole.User && message.Role != ChatRole.Assistant)
        {
            throw new NotSupportedException(
                $"Message {index} has the role '{message.Role}'; this template renders system, user and assistant. "
                + "Tool results are not supported.");
        }

        foreach (AIContent content in message.Contents)
        {
            if (content is not TextContent)
            {
                throw new NotSupportedException(
                    $"Message {index} ({message.Role}) holds {content.GetType().Name}; this template renders text only. "
                    + "Turn it into text, or pass an IChatTemplate that renders it.");
            }
        }

        return message.Text;
    }
}

using System.Text.Json.Nodes;
using Grpo.Modeling;
using Grpo.Models.Qwen.Jinja;
using Grpo.Models.Qwen.Text;
using Microsoft.Extensions.AI;

namespace Grpo.Models.Qwen;

/// <summary>A chat template in the Jinja language, as checkpoints of Hugging Face bring it. Thread-safe.</summary>
/// <remarks>
/// It renders as transformers does, byte for byte: roles, text, thoughts (<c>reasoning_content</c>), tools, tool calls and tool results.
/// The text is interpreted with bounds on depth, steps and output. It reaches nothing but its arguments and the clock. Text of messages is
/// not escaped, as in the original: a message that contains an end token ends there for the model.
/// </remarks>
public sealed class JinjaChatTemplate : IChatTemplate, IHasIdentity
{
    private static readonly string[] Reserved = ["messages", "tools", "documents", "add_generation_prompt", "enable_thinking"];

    private readonly JinjaTemplate _template;
    private readonly JinjaTemplate? _toolUse;
    private readonly Lazy<PlugInIdentity> _identity;
    private readonly Lazy<bool> _wantsArgumentsAsText;

    /// <summary>Parses a template.</summary>
    /// <param name="text">The text of the template.</param>
    /// <param name="toolUseText">
    /// The text for conversations with tools, which some checkpoints name <c>tool_use</c>; null if the template renders them itself.
    /// </param>
    /// <param name="options">The arguments of the template; null for none.</param>
    /// <exception cref="ChatTemplateException">
    /// The text is malformed, or has a construct that is not supported. The message names the line and the construct.
    /// </exception>
    /// <exception cref="ArgumentException">An argument has the name of one that the renderer sets itself.</exception>
    public JinjaChatTemplate(string text, string? toolUseText = null, ChatTemplateOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(text);
        Options = options ?? new ChatTemplateOptions();
        if (Options.Arguments.Keys.FirstOrDefault(Reserved.Contains) is { } reserved)
        {
            throw new ArgumentException(
                $"{nameof(ChatTemplateOptions)}.{nameof(ChatTemplateOptions.Arguments)} holds '{reserved}', which the renderer sets "
                + $"itself. Use {nameof(ChatTemplateOptions.EnableThinking)} and {nameof(ChatTemplateOptions.Tools)} instead.",
                nameof(options));
        }

        _template = JinjaTemplate.Parse(text);
        _toolUse = toolUseText is null ? null : JinjaTemplate.Parse(toolUseText);
        _identity = new Lazy<PlugInIdentity>(() => TemplateIdentity.Of(this));
        _wantsArgumentsAsText = new Lazy<bool>(() => TemplateProbes.WantArgumentsAsText(this));
    }

    /// <summary>The text of the template.</summary>
    public string Text => _template.Text;

    /// <summary>The text for conversations with tools; null if there is none of its own.</summary>
    public string? ToolUseText => _toolUse?.Text;

    /// <summary>The arguments of the template.</summary>
    public ChatTemplateOptions Options { get; }

    /// <inheritdoc/>
    /// <value>The text and the arguments. A template that renders as <see cref="QwenChatTemplate"/> does has that one's identity.</value>
    public PlugInIdentity Identity => _identity.Value;

    /// <summary>Loads a template from a file such as <c>chat_template.jinja</c>.</summary>
    /// <param name="path">The path of the file, which is UTF-8.</param>
    /// <param name="options">The arguments of the template; null for none.</param>
    /// <exception cref="FileNotFoundException">The file does not exist.</exception>
    /// <exception cref="InvalidDataException">The file is larger than 1 MiB or no UTF-8.</exception>
    /// <exception cref="ChatTemplateException">The text is malformed, or has a construct that is not supported.</exception>
    public static JinjaChatTemplate Load(string path, ChatTemplateOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        return new JinjaChatTemplate(TokenizerFiles.ReadTemplateText(path), options: options);
    }

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">There are no messages.</exception>
    /// <exception cref="ChatTemplateException">The template refuses the conversation, or exceeds a bound.</exception>
    /// <exception cref="NotSupportedException">A message holds content that templates do not render, such as an image.</exception>
    public string Render(IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt = true) =>
        Render(messages, Options.Tools, addGenerationPrompt);

    /// <summary>Renders a conversation that offers tools.</summary>
    /// <param name="messages">The messages of the conversation, oldest first.</param>
    /// <param name="tools">The tools. Each must be an <see cref="AIFunctionDeclaration"/>.</param>
    /// <param name="addGenerationPrompt">True to append the header of an assistant message, so that the model answers.</param>
    /// <returns>The text to encode.</returns>
    /// <inheritdoc cref="Render(IReadOnlyList{ChatMessage}, bool)" path="/exception"/>
    public string Render(IReadOnlyList<ChatMessage> messages, IReadOnlyList<AITool> tools, bool addGenerationPrompt)
    {
        ArgumentNullException.ThrowIfNull(messages);
        ArgumentNullException.ThrowIfNull(tools);
        if (messages.Count == 0)
        {
            throw new ArgumentException("The conversation has no messages; give at least one user message.", nameof(messages));
        }

        // Most templates write the arguments of a call as JSON themselves; some, such as R1-Distill's, expect the text.
        bool hasCalls = messages.Any(message => message.Contents.Any(content => content is FunctionCallContent));
        return Render(messages, tools, addGenerationPrompt, hasCalls && _wantsArgumentsAsText.Value);
    }

    /// <summary>Renders a conversation, with the arguments of tool calls as JSON text or as dictionaries.</summary>
    internal string Render(
        IReadOnlyList<ChatMessage> messages, IReadOnlyList<AITool> tools, bool addGenerationPrompt, bool argumentsAsText) =>
        Render(TemplateMessages.From(messages, argumentsAsText), TemplateMessages.From(tools), addGenerationPrompt).Text;

    /// <summary>Renders a conversation whose last message is unfinished, so that the model continues it.</summary>
    /// <param name="messages">The messages of the conversation. The last one has the beginning of the text to continue.</param>
    /// <returns>The text up to the last message's content, without what closes the message.</returns>
    /// <exception cref="ArgumentException">The template leaves out the content of the last message, or changes it.</exception>
    /// <inheritdoc cref="Render(IReadOnlyList{ChatMessage}, bool)" path="/exception"/>
    public string RenderUnfinished(IReadOnlyList<ChatMessage> messages)
    {
        string text = Render(messages, addGenerationPrompt: false);
        return CutAfter(text, messages[^1].Text);
    }

    /// <summary>Cuts a rendered text after the last occurrence of a message's content.</summary>
    internal static string CutAfter(string text, string content)
    {
        string part = PythonText.Strip(content, characters: null, start: true, end: true);
        int at = text.LastIndexOf(part, StringComparison.Ordinal);
        return at >= 0
            ? text[..(at + part.Length)]
            : throw new ArgumentException(
                "The chat template does not write the content of the last message as it is, so the message cannot be continued.");
    }

    /// <summary>Renders messages that are values of a template already.</summary>
    internal RenderedText Render(JinjaList messages, JinjaList? tools, bool addGenerationPrompt)
    {
        var variables = new Dictionary<string, object?>(StringComparer.Ordinal);
        foreach ((string name, string token) in Options.SpecialTokens ?? new Dictionary<string, string>())
        {
            variables[name] = token;
        }

        foreach ((string name, JsonNode? value) in Options.Arguments)
        {
            variables[name] = ObjectValues.From(value);
        }

        variables["messages"] = messages;
        variables["tools"] = tools;
        variables["documents"] = null;
        variables["add_generation_prompt"] = addGenerationPrompt;
        if (Options.EnableThinking is { } enableThinking)
        {
            variables["enable_thinking"] = enableThinking;
        }

        return (tools is null ? _template : _toolUse ?? _template).Render(variables, Options.Clock);
    }

    /// <summary>Returns the same template with the special tokens of a checkpoint, unless it has some already.</summary>
    internal JinjaChatTemplate WithSpecialTokens(IReadOnlyDictionary<string, string> tokens) => Options.SpecialTokens is not null
        ? this
        : new JinjaChatTemplate(Text, ToolUseText, Options with { SpecialTokens = tokens });
}

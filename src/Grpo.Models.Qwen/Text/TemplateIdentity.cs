using System.Text.Json.Nodes;
using Microsoft.Extensions.AI;

namespace Grpo.Models.Qwen.Text;

/// <summary>The identity of a template in the Jinja language.</summary>
internal static class TemplateIdentity
{
    private const string SystemStart = "<|im_start|>system\n";
    private const string SystemEnd = "<|im_end|>\n<|im_start|>user\n";

    /// <summary>
    /// Returns the identity. A template that renders as Qwen2.5's has the identity of <see cref="QwenChatTemplate"/>, so a run may resume
    /// with either.
    /// </summary>
    public static PlugInIdentity Of(JinjaChatTemplate template)
    {
        ChatTemplateOptions options = template.Options;
        bool hasArguments = options.EnableThinking is not null || options.Arguments.Count > 0 || options.Tools.Count > 0;
        if (!hasArguments && FindEqual(template) is { } equal)
        {
            return equal.Identity;
        }

        PlugInIdentity identity = new PlugInIdentity("Jinja").With("text", template.Text).With("tool use text", template.ToolUseText)
            .With("enable thinking", options.EnableThinking?.ToString())
            .With("tools", options.Tools.Count == 0 ? null : string.Join(", ", options.Tools.Select(tool => tool.Name)));
        foreach ((string name, string token) in (options.SpecialTokens ?? new Dictionary<string, string>()).OrderBy(
            pair => pair.Key, StringComparer.Ordinal))
        {
            identity = identity.With($"special token {name}", token);
        }

        foreach ((string name, JsonNode? value) in options.Arguments.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            identity = identity.With($"argument {name}", value?.ToJsonString() ?? "null");
        }

        return identity;
    }

    /// <summary>Returns the template of Qwen2.5's kind that renders alike; null if there is none.</summary>
    public static QwenChatTemplate? FindEqual(JinjaChatTemplate template)
    {
        string text;
        try
        {
            text = template.Render([new ChatMessage(ChatRole.User, "question")]);
        }
        catch (NotSupportedException)
        {
            return null;
        }

        int end = text.IndexOf(SystemEnd, StringComparison.Ordinal);
        string? system = text.StartsWith(SystemStart, StringComparison.Ordinal) && end >= SystemStart.Length
            ? text[SystemStart.Length..end]
            : null;
        var candidate = new QwenChatTemplate(system);
        return TemplateProbes.AreAlike(template, candidate) ? candidate : null;
    }
}

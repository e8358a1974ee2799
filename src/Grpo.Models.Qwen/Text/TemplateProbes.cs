using System.Text.Json;
using Grpo.Modeling;
using Grpo.Models.Qwen.Jinja;
using Microsoft.Extensions.AI;

namespace Grpo.Models.Qwen.Text;

/// <summary>Renders short conversations to find out what a chat template writes.</summary>
internal static class TemplateProbes
{
    private const int LongestMarker = 64;

    private static readonly ChatMessage User = new(ChatRole.User, "question");

    private static readonly ChatMessage[][] Plain =
    [
        [User], [new(ChatRole.System, "rules"), User], [User, new(ChatRole.Assistant, "answer")],
        [User, new(ChatRole.Assistant, "answer"), User],
    ];

    // What templates of reasoning models change: thoughts in an answer, and blanks around a text.
    private static readonly ChatMessage[][] Unusual =
    [
        [new(ChatRole.User, " question\n"), new(ChatRole.Assistant, "<think>\nthought\n</think>\n\nanswer ")],
        [User, new(ChatRole.Assistant, "<think>\nthought\n</think>\n\nanswer"), new(ChatRole.System, "rules"), User],
    ];

    private static readonly ChatMessage[] WithTool =
    [
        User, new(ChatRole.Assistant, [new FunctionCallContent("call00001", "tool", new Dictionary<string, object?> { ["a"] = 1 })]),
        new(ChatRole.Tool, [new FunctionResultContent("call00001", "result")]),
    ];

    /// <summary>Renders the conversations that the template accepts.</summary>
    /// <exception cref="ChatTemplateException">The template accepts none of the plain ones.</exception>
    /// <exception cref="NotSupportedException">The template renders nothing at all.</exception>
    public static IReadOnlyList<string> Render(JinjaChatTemplate template)
    {
        var texts = new List<string>();
        ChatTemplateException? first = null;
        foreach (ChatMessage[] messages in Plain)
        {
            try
            {
                texts.Add(template.Render(messages));
            }
            catch (ChatTemplateException exception)
            {
                first ??= exception;
            }
        }

        if (texts.Count == 0)
        {
            throw first!;
        }

        if (texts.All(text => !text.Contains("question", StringComparison.Ordinal)))
        {
            throw new NotSupportedException("The chat template leaves out the text of the user's message.");
        }

        if ((RenderCall(template, argumentsAsText: false) ?? RenderCall(template, argumentsAsText: true)) is { } call)
        {
            texts.Add(call);
        }

        return texts;
    }

    /// <summary>True if a template renders a tool call only if its arguments are JSON text.</summary>
    public static bool WantArgumentsAsText(JinjaChatTemplate template) =>
        RenderCall(template, argumentsAsText: false) is null && RenderCall(template, argumentsAsText: true) is not null;

    // Null if the template refuses it: many know no tools.
    private static string? RenderCall(JinjaChatTemplate template, bool argumentsAsText)
    {
        using JsonDocument schema = JsonDocument.Parse(
            """{"type":"object","properties":{"a":{"type":"integer","description":"number"}}}""");
        AITool tool = AIFunctionFactory.CreateDeclaration("tool", "description", schema.RootElement.Clone());
        try
        {
            return template.Render(WithTool, [tool], addGenerationPrompt: true, argumentsAsText);
        }
        catch (ChatTemplateException)
        {
            return null;
        }
    }

    /// <summary>Returns the texts of a template that make sense only as tokens: <c>&lt;|…|&gt;</c> and its special tokens.</summary>
    public static IReadOnlyList<string> Markers(JinjaChatTemplate template)
    {
        var markers = new List<string>();
        foreach (string text in Render(template))
        {
            AddMarkers(text, markers);
            markers.AddRange((template.Options.SpecialTokens?.Values ?? []).Where(
                token => token.Length > 0 && text.Contains(token, StringComparison.Ordinal)));
        }

        return [.. markers.Distinct(StringComparer.Ordinal)];
    }

    /// <summary>True if two templates render plain conversations alike.</summary>
    public static bool AreAlike(IChatTemplate left, IChatTemplate right) => Plain.Concat(Unusual).All(messages =>
        Try(left, messages, true) is { } text && text == Try(right, messages, true)
        && Try(left, messages, false) == Try(right, messages, false));

    private static string? Try(IChatTemplate template, ChatMessage[] messages, bool addGenerationPrompt)
    {
        try
        {
            return template.Render(messages, addGenerationPrompt);
        }
        catch (NotSupportedException)
        {
            return null;
        }
    }

    // "<|" or "<｜", then neither blanks nor brackets, up to "|>" or "｜>".
    private static void AddMarkers(string text, List<string> markers)
    {
        for (int start = text.IndexOf('<'); start >= 0; start = text.IndexOf('<', start + 1))
        {
            int end = start + 2;
            if (end >= text.Length || text[start + 1] is not ('|' or '｜'))
            {
                continue;
            }

            while (end < text.Length && end - start < LongestMarker && text[end] is not ('<' or '>') && !char.IsWhiteSpace(text[end]))
            {
                end++;
            }

            if (end < text.Length && text[end] == '>' && text[end - 1] is '|' or '｜' && end - start > 3)
            {
                markers.Add(text[start..(end + 1)]);
            }
        }
    }
}

using System.Text.Json;
using Grpo.Models.Qwen.Jinja;
using Microsoft.Extensions.AI;

namespace Grpo.Models.Qwen.Text;

/// <summary>Converts messages and tools to the dictionaries that chat templates read.</summary>
internal static class TemplateMessages
{
    /// <summary>Converts a conversation. A message with several tool results becomes several messages.</summary>
    /// <param name="messages">The messages.</param>
    /// <param name="argumentsAsText">True to give the arguments of a tool call as JSON text; false to give them as a dictionary.</param>
    /// <exception cref="NotSupportedException">A message holds content other than text, thoughts, tool calls and tool results.</exception>
    public static JinjaList From(IReadOnlyList<ChatMessage> messages, bool argumentsAsText)
    {
        var converted = new List<object?>();
        var names = new Dictionary<string, string>(StringComparer.Ordinal);
        for (int i = 0; i < messages.Count; i++)
        {
            Require(messages[i], i);
            foreach (FunctionCallContent call in messages[i].Contents.OfType<FunctionCallContent>())
            {
                names[call.CallId] = call.Name;
            }

            if (messages[i].Contents.Any(content => content is FunctionResultContent))
            {
                ChatMessage message = messages[i];
                converted.AddRange(message.Contents.OfType<FunctionResultContent>().Select(result => Result(result, message, names)));
            }
            else
            {
                converted.Add(Message(messages[i], argumentsAsText));
            }
        }

        return new JinjaList(converted);
    }

    /// <summary>Converts tools; null if there are none.</summary>
    /// <exception cref="NotSupportedException">A tool is no function.</exception>
    public static JinjaList? From(IReadOnlyList<AITool> tools) =>
        tools.Count == 0 ? null : new JinjaList([.. tools.Select(tool => (object?)Tool(tool))]);

    private static JinjaDict Message(ChatMessage message, bool argumentsAsText)
    {
        var converted = new JinjaDict();
        converted.Set("role", message.Role.Value);
        FunctionCallContent[] calls = [.. message.Contents.OfType<FunctionCallContent>()];
        bool hasText = message.Contents.Any(content => content is TextContent);
        converted.Set("content", hasText || calls.Length == 0 ? message.Text : null);
        if (message.AuthorName is { } name)
        {
            converted.Set("name", name);
        }

        if (message.Contents.Any(content => content is TextReasoningContent))
        {
            converted.Set("reasoning_content", string.Concat(message.Contents.OfType<TextReasoningContent>().Select(part => part.Text)));
        }

        if (calls.Length > 0)
        {
            converted.Set("tool_calls", new JinjaList([.. calls.Select(call => (object?)Call(call, argumentsAsText))]));
        }

        return converted;
    }

    private static JinjaDict Call(FunctionCallContent call, bool argumentsAsText)
    {
        JinjaDict arguments = new();
        foreach ((string key, object? value) in call.Arguments ?? new Dictionary<string, object?>())
        {
            arguments.Set(key, ObjectValues.From(value));
        }

        object written = argumentsAsText ? Json(arguments) : arguments;
        return Dictionary(
            ("id", call.CallId), ("type", "function"), ("function", Dictionary(("name", call.Name), ("arguments", written))));
    }

    private static JinjaDict Result(FunctionResultContent result, ChatMessage message, Dictionary<string, string> names)
    {
        var converted = Dictionary(
            ("role", message.Role.Value), ("content", ResultText(result.Result)), ("tool_call_id", result.CallId));
        if ((message.AuthorName ?? names.GetValueOrDefault(result.CallId)) is { } name)
        {
            converted.Set("name", name);
        }

        return converted;
    }

    // A result that is no text is written as JSON, as Python prints it.
    private static string ResultText(object? result) => ObjectValues.From(result) switch
    {
        null => "",
        string text => text,
        object value => Json(value),
    };

    private static string Json(object value) =>
        JsonWriter.Apply(new Rendering(new JinjaLimits(), TimeProvider.System), value, Arguments.None);

    private static JinjaDict Tool(AITool tool)
    {
        if (tool is not AIFunctionDeclaration function)
        {
            throw new NotSupportedException(
                $"The tool '{tool.Name}' is a {tool.GetType().Name}; chat templates render functions. "
                + $"Pass an {nameof(AIFunctionDeclaration)}.");
        }

        return Dictionary(("type", "function"), ("function", Dictionary(
            ("name", function.Name), ("description", function.Description), ("parameters", JsonValues.From(function.JsonSchema)))));
    }

    private static JinjaDict Dictionary(params ReadOnlySpan<(string Key, object? Value)> items)
    {
        var dictionary = new JinjaDict();
        foreach ((string key, object? value) in items)
        {
            dictionary.Set(key, value);
        }

        return dictionary;
    }

    private static void Require(ChatMessage message, int index)
    {
        foreach (AIContent content in message.Contents)
        {
            if (content is not (TextContent or TextReasoningContent or FunctionCallContent or FunctionResultContent))
            {
                throw new NotSupportedException(
                    $"Message {index} ({message.Role}) holds {content.GetType().Name}; chat templates render text, thoughts, tool calls "
                    + "and tool results. Turn it into text, or pass an IChatTemplate that renders it.");
            }

            if (content is not FunctionResultContent && message.Contents.Any(other => other is FunctionResultContent))
            {
                throw new NotSupportedException(
                    $"Message {index} ({message.Role}) holds tool results and {content.GetType().Name}. Put the results into a message of "
                    + "their own, with the role tool.");
            }
        }
    }
}

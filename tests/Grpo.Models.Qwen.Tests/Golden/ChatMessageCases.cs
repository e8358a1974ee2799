using System.Text.Json;
using Microsoft.Extensions.AI;

namespace Grpo.Models.Qwen.Tests.Golden;

/// <summary>Converts the messages of a case to those of Microsoft.Extensions.AI.</summary>
internal static class ChatMessageCases
{
    private static readonly string[] Known = ["role", "content", "reasoning_content", "tool_calls", "tool_call_id", "name"];

    /// <summary>Returns the messages; null if one says what these messages cannot say, such as arguments that are no dictionary.</summary>
    public static ChatMessage[]? Convert(JsonElement entry)
    {
        ChatMessage?[] messages = [.. entry.GetProperty("messages").EnumerateArray().Select(Message)];
        return messages.Contains(null) ? null : [.. messages.OfType<ChatMessage>()];
    }

    public static AITool Tool(JsonElement tool)
    {
        JsonElement function = tool.GetProperty("function");
        return AIFunctionFactory.CreateDeclaration(
            function.GetProperty("name").GetString()!, function.GetProperty("description").GetString(), function.GetProperty("parameters"));
    }

    private static ChatMessage? Message(JsonElement message)
    {
        if (message.EnumerateObject().Any(property => !Known.Contains(property.Name))
            || !message.TryGetProperty("role", out JsonElement role)
            || !message.TryGetProperty("content", out JsonElement content)
            || content.ValueKind is not (JsonValueKind.String or JsonValueKind.Null))
        {
            return null;
        }

        string? name = message.TryGetProperty("name", out JsonElement author) ? author.GetString() : null;
        if (role.GetString() == "tool")
        {
            string id = message.TryGetProperty("tool_call_id", out JsonElement call) ? call.GetString()! : "";
            return new ChatMessage(ChatRole.Tool, [new FunctionResultContent(id, content.GetString())]) { AuthorName = name };
        }

        List<AIContent> contents = content.ValueKind == JsonValueKind.String ? [new TextContent(content.GetString())] : [];
        if (message.TryGetProperty("reasoning_content", out JsonElement reasoning))
        {
            contents.Insert(0, new TextReasoningContent(reasoning.GetString()));
        }

        bool hasCalls = message.TryGetProperty("tool_calls", out JsonElement calls);
        if (hasCalls && !calls.EnumerateArray().All(IsPlain))
        {
            return null;
        }

        contents.AddRange(hasCalls ? calls.EnumerateArray().Select(Call) : []);
        return (content.ValueKind == JsonValueKind.Null || hasCalls) && !contents.OfType<FunctionCallContent>().Any()
            ? null
            : new ChatMessage(new ChatRole(role.GetString()!), contents) { AuthorName = name };
    }

    private static bool IsPlain(JsonElement call) => call.TryGetProperty("function", out JsonElement function)
        && function.TryGetProperty("arguments", out JsonElement arguments) && arguments.ValueKind == JsonValueKind.Object;

    private static FunctionCallContent Call(JsonElement call) => new(
        call.TryGetProperty("id", out JsonElement id) ? id.GetString()! : "",
        call.GetProperty("function").GetProperty("name").GetString()!,
        call.GetProperty("function").GetProperty("arguments").EnumerateObject()
            .ToDictionary(argument => argument.Name, argument => (object?)argument.Value));
}

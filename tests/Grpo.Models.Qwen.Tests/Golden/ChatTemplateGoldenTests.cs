using System.Text.Json;
using Grpo.Models.Qwen.Jinja;
using Grpo.Testing;
using Microsoft.Extensions.AI;

namespace Grpo.Models.Qwen.Tests.Golden;

/// <summary>Every conversation of every shared template renders to the byte, and those that must fail do.</summary>
public sealed class ChatTemplateGoldenTests
{
    public static TheoryData<string> Names =>
    [
        "chatml", "deepseek-r1-distill-qwen", "hermes-tool-use", "qwen2.5-instruct", "qwen2.5-math-instruct", "qwen2.5-training", "qwen3",
        "qwen3-instruct-2507", "qwen3-thinking-2507", "qwen3-training", "smollm2-instruct",
    ];

    [SharedTheory]
    [MemberData(nameof(Names))]
    public void Every_conversation_renders_as_in_transformers(string name)
    {
        using TemplateCases cases = TemplateCases.Load(name);
        int compared = 0;
        foreach (JsonElement entry in cases.All)
        {
            string title = $"{name}: {entry.GetProperty("name")}";
            if (entry.TryGetProperty("raises", out _))
            {
                Assert.Throws<ChatTemplateException>(() => cases.Render(entry));
                compared++;
                continue;
            }

            RenderedText rendered = cases.Render(entry);
            string text = entry.TryGetProperty("continue_final_message", out JsonElement goesOn) && goesOn.GetBoolean()
                ? JinjaChatTemplate.CutAfter(
                    rendered.Text, entry.GetProperty("messages").EnumerateArray().Last().GetProperty("content").GetString()!)
                : rendered.Text;
            Assert.True(entry.GetProperty("expected").GetString() == text, $"{title}\n{text}");
            if (entry.TryGetProperty("assistant_spans", out JsonElement spans) && !goesOn.ValueKind.Equals(JsonValueKind.True))
            {
                Assert.Equal(spans.EnumerateArray().Select(span => (span[0].GetInt32(), span[1].GetInt32())), rendered.AssistantSpans);
            }

            compared++;
        }

        Assert.Equal(63, compared);
    }

    // The same conversations as Microsoft.Extensions.AI's messages, where these can say what the case says.
    [SharedTheory]
    [MemberData(nameof(Names))]
    public void Chat_messages_render_as_the_originals(string name)
    {
        using TemplateCases cases = TemplateCases.Load(name);
        int compared = 0;
        foreach (JsonElement entry in cases.All.Where(entry => entry.TryGetProperty("expected", out _)
            && !entry.TryGetProperty("continue_final_message", out _)))
        {
            if (ChatMessageCases.Convert(entry) is not { } messages || messages.Length == 0)
            {
                continue;
            }

            AITool[] tools = [.. cases.Tools(entry).Select(ChatMessageCases.Tool)];
            Assert.Equal(
                entry.GetProperty("expected").GetString(),
                cases.Template(entry).Render(messages, tools, entry.GetProperty("add_generation_prompt").GetBoolean()));
            compared++;
        }

        Assert.InRange(compared, 25, 63);
    }

    [SharedFact]
    public void Token_ids_of_rendered_conversations_equal_the_originals()
    {
        using JsonDocument json = JsonDocument.Parse(
            File.ReadAllBytes(SharedData.Path("golden", "families", "templates", "tokens.json")));
        int compared = 0;
        foreach (JsonElement entry in json.RootElement.GetProperty("cases").EnumerateArray()
            .Concat(json.RootElement.GetProperty("assistant_masks").EnumerateArray()))
        {
            QwenTokenizer tokenizer = TemplateCases.Tokenizer(json.RootElement, entry.GetProperty("added_tokens").GetString()!);
            using TemplateCases cases = TemplateCases.Load(entry.GetProperty("template").GetString()!);
            RenderedText rendered = cases.Render(
                cases.All.Single(other => other.GetProperty("name").GetString() == entry.GetProperty("case").GetString()));
            IReadOnlyList<int> ids = tokenizer.Encode(rendered.Text);
            Assert.Equal(entry.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32()), ids);
            if (entry.TryGetProperty("assistant_mask", out JsonElement mask))
            {
                Assert.Equal(mask.EnumerateArray().Select(bit => bit.GetInt32()), TemplateCases.Mask(tokenizer, ids, rendered));
            }

            compared++;
        }

        Assert.Equal(15 + json.RootElement.GetProperty("assistant_masks").GetArrayLength(), compared);
    }
}

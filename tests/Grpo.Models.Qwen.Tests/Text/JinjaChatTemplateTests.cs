using System.Text.Json.Nodes;
using Grpo.Modeling;
using Grpo.Models.Qwen.Text;
using Grpo.Rollouts;
using Grpo.Testing;
using Microsoft.Extensions.AI;

namespace Grpo.Models.Qwen.Tests.Text;

/// <summary>A template of a checkpoint with its arguments, markers and end tokens.</summary>
public sealed class JinjaChatTemplateTests
{
    // Thoughts only in the last answer, a date, and a switch for thinking: what newer templates do, in a few lines.
    private const string Thinking =
        "{{- bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.reasoning_content and loop.last %}<think>"
        + "{{ m.reasoning_content }}</think>{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}"
        + "{% if add_generation_prompt %}<|im_start|>assistant\n{% if enable_thinking is false %}<think></think>{% endif %}{% endif %}";

    private static readonly ChatMessage[] Question = [new(ChatRole.User, "2+2?")];

    [Theory]
    [InlineData(null, "")]
    [InlineData(true, "")]
    [InlineData(false, "<think></think>")]
    public void EnableThinking_reaches_the_template(bool? thinking, string end)
    {
        var options = new ChatTemplateOptions { EnableThinking = thinking };
        Assert.Equal($"<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n{end}", Template(options).Render(Question));
    }

    [Fact]
    public void Arguments_and_special_tokens_are_variables()
    {
        var options = new ChatTemplateOptions
        {
            Arguments = new Dictionary<string, JsonNode?> { ["level"] = "high", ["depth"] = 1.0, ["tags"] = new JsonArray("a", null) },
            SpecialTokens = new Dictionary<string, string> { ["bos_token"] = "<s>" },
        };
        Assert.Equal(
            "<s>high 1.0 [\"a\", null] 2+2?",
            new JinjaChatTemplate("{{ bos_token }}{{ level }} {{ depth }} {{ tags|tojson }} {{ messages[0].content }}", null, options)
                .Render(Question));
        ErrorAssert.Says<ArgumentException>("'messages', which the renderer sets itself", () => _ = new JinjaChatTemplate(
            "", null, new ChatTemplateOptions { Arguments = new Dictionary<string, JsonNode?> { ["messages"] = null } }));
    }

    [Fact]
    public void Render_gives_calls_results_and_thoughts_to_the_template()
    {
        ChatMessage[] messages =
        [
            new(ChatRole.User, "2+2?"),
            new(ChatRole.Assistant,
            [
                new TextReasoningContent("Use it."),
                new FunctionCallContent("c1", "add", new Dictionary<string, object?> { ["a"] = 2, ["b"] = 2.0 }),
            ]),
            new(ChatRole.Tool,
            [
                new FunctionResultContent("c1", new Dictionary<string, object?> { ["sum"] = 4 }), new FunctionResultContent("c2", "x"),
            ]),
        ];
        Assert.Equal(
            """[{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": null, "reasoning_content": "Use it.", """
            + "\"tool_calls\": " + """[{"id": "c1", "type": "function", "function": {"name": "add", "arguments": {"a": 2, "b": 2.0}}}]}, """
            + """{"role": "tool", "content": "{\"sum\": 4}", "tool_call_id": "c1", "name": "add"}, """
            + """{"role": "tool", "content": "x", "tool_call_id": "c2"}]""",
            new JinjaChatTemplate("{{ messages|tojson }}").Render(messages, addGenerationPrompt: false));
    }

    // R1-Distill's template joins the arguments to a text, as transformers' users pass them; Qwen's writes them as JSON itself.
    [Theory]
    [InlineData("{{ '<' + call.function.arguments + '>' }}", """<{"a": 2}>""")]
    [InlineData("{{ call.function.arguments|tojson }}", """{"a": 2}""")]
    public void Render_gives_the_arguments_of_a_call_in_the_form_that_the_template_takes(string write, string expected)
    {
        var template = new JinjaChatTemplate(
            "{% for m in messages %}{% if m.tool_calls %}{% for call in m.tool_calls %}" + write + "{% endfor %}"
            + "{% else %}{{ m.content }}{% endif %}{% endfor %}");
        var call = new ChatMessage(
            ChatRole.Assistant, [new FunctionCallContent("c1", "add", new Dictionary<string, object?> { ["a"] = 2 })]);
        Assert.Equal("2+2?" + expected, template.Render([.. Question, call]));
    }

    [Fact]
    public void Render_gives_tools_to_the_template_of_their_own()
    {
        AITool add = AIFunctionFactory.Create((int a) => a + 1, "add", "Adds one.");
        var template = new JinjaChatTemplate("plain {{ messages[0].content }}", "{{ tools[0].function.name }}: {{ tools|length }}");
        Assert.Equal("plain 2+2?", template.Render(Question));
        Assert.Equal("add: 1", template.Render(Question, [add], addGenerationPrompt: true));
        Assert.Equal("plain add", new JinjaChatTemplate("plain {{ tools[0].function.name }}").Render(Question, [add], true));
    }

    [Fact]
    public void Render_refuses_what_no_template_can_write()
    {
        var image = new ChatMessage(ChatRole.User, [new DataContent(new byte[] { 1 }, "image/png")]);
        ErrorAssert.Says<NotSupportedException>("Message 0 (user) holds DataContent", () => Template().Render([image]));
        ErrorAssert.Says<ArgumentException>("no messages", () => Template().Render([]));
        var mixed = new ChatMessage(ChatRole.Tool, [new FunctionResultContent("c", 1), new TextContent("x")]);
        ErrorAssert.Says<NotSupportedException>("holds tool results and TextContent", () => Template().Render([mixed]));
    }

    [Fact]
    public void RenderUnfinished_ends_with_the_last_content()
    {
        Assert.Equal(
            "<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\nIt is",
            Template().RenderUnfinished([.. Question, new(ChatRole.Assistant, "It is ")]));
        ErrorAssert.Says<ArgumentException>(
            "does not write the content", () => new JinjaChatTemplate("x").RenderUnfinished([.. Question, new(ChatRole.Assistant, "y")]));
    }

    // Thoughts of the first answer are dropped as soon as it is not the last message any more.
    [Fact]
    public void IsAppendOnly_is_found_by_rendering()
    {
        ChatMessage[] plain = [.. Question, new(ChatRole.Assistant, "4"), new(ChatRole.User, "Sure?"), new(ChatRole.Assistant, "Yes.")];
        var thoughts = new ChatMessage(ChatRole.Assistant, [new TextReasoningContent("Hm."), new TextContent("4")]);
        Assert.True(Template().IsAppendOnly(plain));
        Assert.True(Template().IsAppendOnly([.. Question, thoughts]));
        Assert.False(Template().IsAppendOnly([.. Question, thoughts, new(ChatRole.User, "Sure?")]));
        Assert.True(new QwenChatTemplate().IsAppendOnly(plain));

        // An answer that is not preceded by the header which the generation prompt wrote.
        var options = new ChatTemplateOptions { EnableThinking = false };
        Assert.False(Template(options).IsAppendOnly(plain));
    }

    [Fact]
    public void Identity_is_that_of_QwenChatTemplate_when_it_renders_alike()
    {
        foreach (string? system in (ReadOnlySpan<string?>)[null, "", "Be brief.", "It's \\boxed{}.\n\ttwo lines"])
        {
            PlugInIdentity own = new JinjaChatTemplate(ChatTemplateText.Write(system)).Identity;
            PlugInIdentity code = new QwenChatTemplate(system).Identity;
            Assert.Equal(code.Kind, own.Kind);
            Assert.Equal(code.Facts, own.Facts);
        }

        Assert.Equal("Jinja", new JinjaChatTemplate("{{ messages[0].content }}").Identity.Kind);
        Assert.Equal("Jinja", Template(new ChatTemplateOptions { EnableThinking = true }).Identity.Kind);
        Assert.NotEqual(Template().Identity.Facts, Template(new ChatTemplateOptions { EnableThinking = false }).Identity.Facts);
    }

    [Fact]
    public void Saving_writes_the_text_of_a_given_template()
    {
        using var folder = new PretrainedFolder();
        using var saved = new TemporaryFolder();
        string text = Thinking.Replace("{{- bos_token }}", "", StringComparison.Ordinal) + "{# ends without a line break #}";
        using (QwenPretrained qwen = QwenPretrained.Load(folder.Path, new QwenLoadOptions { ChatTemplate = new JinjaChatTemplate(text) }))
        {
            qwen.Policy.Save(saved.Path);
        }

        Assert.Equal(text, File.ReadAllText(saved.File("chat_template.jinja")));
        var options = new QwenLoadOptions { TemplateOptions = new ChatTemplateOptions { EnableThinking = false } };
        using QwenPretrained again = QwenPretrained.Load(saved.Path, options);
        Assert.EndsWith("<think></think>", again.ChatTemplate.Render(Question), StringComparison.Ordinal);
        ErrorAssert.Says<ArgumentException>(
            "TemplateOptions are the arguments of the checkpoint's own template",
            () => QwenPretrained.Load(saved.Path, options with { ChatTemplate = new QwenChatTemplate() }));
    }

    [Fact]
    public void A_template_that_misses_an_argument_names_it()
    {
        using var folder = new PretrainedFolder().With(
            "chat_template.jinja",
            "{% if messages[0].role != 'system' %}{{ 'Today: ' + today }}{% endif %}{{ messages[0].content }}{{ messages[-1].content }}");
        using QwenPretrained without = QwenPretrained.Load(folder.Path);
        ErrorAssert.Says<ChatTemplateException>("line 1, column 51: 'today' is undefined.", () => without.ChatTemplate.Render(Question));
        var options = new ChatTemplateOptions { Arguments = new Dictionary<string, JsonNode?> { ["today"] = "6 July" } };
        using QwenPretrained with = QwenPretrained.Load(folder.Path, new QwenLoadOptions { TemplateOptions = options });
        Assert.StartsWith("Today: 6 July2+2?", with.ChatTemplate.Render(Question), StringComparison.Ordinal);
    }

    // 258 is <|endoftext|>, 260 is <|im_end|>; the files name neither as the end of a message.
    [Fact]
    public void The_token_after_an_answer_ends_a_run()
    {
        using var folder = new PretrainedFolder()
            .With("generation_config.json", """{"eos_token_id": 258}""")
            .With("tokenizer_config.json", """{"bos_token": "<|endoftext|>"}""")
            .With("chat_template.jinja", Thinking);
        using QwenPretrained qwen = QwenPretrained.Load(folder.Path);
        Assert.Equal([258, 260], qwen.Tokenizer.EndTokenIds.Order());
        Assert.StartsWith("<|endoftext|><|im_start|>user", qwen.ChatTemplate.Render(Question), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("<|im_end|>", "<|eot_id|>", "'<|eot_id|>', which is no token")]
    [InlineData("<think>", "<｜think｜>", "'<｜think｜>', which is no token")]
    [InlineData("<think>", "<thought>", null)] // plain text in angle brackets is no marker
    public void A_marker_outside_the_vocabulary_is_refused(string old, string marker, string? message)
    {
        string text = Thinking.Replace("enable_thinking is false", "true", StringComparison.Ordinal);
        using var folder = new PretrainedFolder().With("chat_template.jinja", text.Replace(old, marker, StringComparison.Ordinal));
        if (message is null)
        {
            using QwenPretrained qwen = QwenPretrained.Load(folder.Path);
            return;
        }

        ErrorAssert.Says<InvalidDataException>(message, () => QwenPretrained.Load(folder.Path));
    }

    [Fact]
    public void A_special_token_that_the_template_writes_must_be_one_of_the_vocabulary()
    {
        using var folder = new PretrainedFolder()
            .With("tokenizer_config.json", """{"bos_token": "<s>"}""")
            .With("chat_template.jinja", Thinking);
        ErrorAssert.Says<InvalidDataException>("'<s>', which is no token", () => QwenPretrained.Load(folder.Path));
    }

    private static JinjaChatTemplate Template(ChatTemplateOptions? options = null) => new(Thinking, null, options);
}

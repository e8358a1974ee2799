using Grpo.Testing;
using Microsoft.Extensions.AI;

namespace Grpo.Models.Qwen.Tests.Text;

public sealed class QwenChatTemplateTests
{
    private static readonly QwenChatTemplate Template = new();

    [Fact]
    public void Render_puts_Qwens_system_message_before_a_conversation_without_one()
    {
        Assert.Equal(
            "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
            + "<|im_start|>user\nWhat is 2+2?<|im_end|>\n<|im_start|>assistant\n",
            Template.Render([new ChatMessage(ChatRole.User, "What is 2+2?")]));
    }

    [Fact]
    public void Render_keeps_the_system_message_that_is_there_and_every_turn()
    {
        Assert.Equal(
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n Hello \n<|im_end|>\n"
            + "<|im_start|>system\nNow in French.<|im_end|>\n<|im_start|>user\n<|im_end|>\n",
            Template.Render(
                [
                    new ChatMessage(ChatRole.System, "Be brief."), new ChatMessage(ChatRole.User, "Hi"),
                    new ChatMessage(ChatRole.Assistant, " Hello \n"),
                    new ChatMessage(ChatRole.System, "Now in French."), new ChatMessage(ChatRole.User, ""),
                ],
                addGenerationPrompt: false));
    }

    [Fact]
    public void Render_puts_no_system_message_when_the_template_has_none()
    {
        Assert.Equal(
            "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
            new QwenChatTemplate(defaultSystemMessage: null).Render([new ChatMessage(ChatRole.User, "Hi")]));
    }

    [Fact]
    public void Render_joins_the_text_parts_of_a_message()
    {
        var message = new ChatMessage(ChatRole.User, [new TextContent("one "), new TextContent("two")]);

        Assert.Contains("<|im_start|>user\none two<|im_end|>\n", Template.Render([message]), StringComparison.Ordinal);
    }

    [Fact]
    public void Render_refuses_what_it_would_render_wrongly()
    {
        var call = new ChatMessage(ChatRole.Assistant, [new TextContent("Let me see."), new FunctionCallContent("1", "add")]);
        var result = new ChatMessage(ChatRole.Tool, [new FunctionResultContent("1", 4)]);

        Assert.Contains(
            "Message 1 (assistant) holds FunctionCallContent; this template renders text only",
            Assert.Throws<NotSupportedException>(() => Template.Render([new ChatMessage(ChatRole.User, "2+2?"), call])).Message,
            StringComparison.Ordinal);
        Assert.Contains(
            "Message 0 has the role 'tool'",
            Assert.Throws<NotSupportedException>(() => Template.Render([result])).Message,
            StringComparison.Ordinal);
        Assert.Contains("no messages", Assert.Throws<ArgumentException>(() => Template.Render([])).Message, StringComparison.Ordinal);
    }

    [SharedFact]
    public void Render_encodes_to_the_ids_of_Qwen25()
    {
        QwenTokenizer tokenizer = QwenTokenizer.Load(SharedData.Path("data", "qwen2.5-tokenizer"));

        // The last 15 are the reference tokenizer's ids of the same user message and generation prompt.
        Assert.Equal(
            [151644, 872, 198, 3838, 374, 220, 17, 10, 17, 30, 151645, 198, 151644, 77091, 198],
            tokenizer.Encode(Template.Render([new ChatMessage(ChatRole.User, "What is 2+2?")])).TakeLast(15));
    }
}

using System.Text.Json.Nodes;
using Grpo.Testing;
using Microsoft.Extensions.AI;

namespace Grpo.Models.Qwen.Tests.Text;

/// <summary>The template that a checkpoint brings decides how conversations are rendered, or loading is refused.</summary>
public sealed class CheckpointTemplateTests
{
    // Qwen2's template, with a place for its default system message.
    private const string Qwen2 =
        @"{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ "
        + @"'<|im_start|>system\nSYSTEM<|im_end|>\n' }}{% endif %}"
        + @"{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
        + @"{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

    // ChatML without a default system message, as trainers write it into a base model's files.
    private const string ChatMl =
        @"{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
        + @"{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

    private static readonly ChatMessage[] Question = [new(ChatRole.User, "2+2?")];

    public static TheoryData<string, string> KnownMessages => new()
    {
        { "You are a helpful assistant.", "You are a helpful assistant." },
        { "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
            "You are Qwen, created by Alibaba Cloud. You are a helpful assistant." },
        { @"Please reason step by step, and put your final answer within \\boxed{}.",
            @"Please reason step by step, and put your final answer within \boxed{}." },
        { @"Du bist Anwältin für Umlaute. It\'s so.\nZwei Zeilen.", "Du bist Anwältin für Umlaute. It's so.\nZwei Zeilen." },
        { "", "" },
    };

    [Theory]
    [MemberData(nameof(KnownMessages))]
    public void The_default_system_message_is_the_checkpoints(string literal, string message)
    {
        string template = Qwen2.Replace("SYSTEM", literal, StringComparison.Ordinal);
        using var folder = new PretrainedFolder().With("tokenizer_config.json", Configuration(template));
        using QwenPretrained qwen = QwenPretrained.Load(folder.Path);
        Assert.Equal(
            $"<|im_start|>system\n{message}<|im_end|>\n<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n",
            qwen.ChatTemplate.Render(Question));
    }

    [Fact]
    public void A_template_without_default_system_message_puts_none()
    {
        using var folder = new PretrainedFolder().With("tokenizer_config.json", Configuration(ChatMl));
        using QwenPretrained qwen = QwenPretrained.Load(folder.Path);
        Assert.Equal("<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n", qwen.ChatTemplate.Render(Question));
    }

    [Theory]
    [InlineData("\r\n")]
    [InlineData("\n")]
    public void A_template_file_may_end_with_a_line_break(string end)
    {
        using var folder = new PretrainedFolder().With("chat_template.jinja", Qwen2.Replace("SYSTEM", "S", StringComparison.Ordinal) + end);
        using QwenPretrained qwen = QwenPretrained.Load(folder.Path);
        Assert.StartsWith("<|im_start|>system\nS<|im_end|>\n", qwen.ChatTemplate.Render(Question), StringComparison.Ordinal);
    }

    // Where transformers looks, in its order: the file of its own, then the configuration, of several the one named default.
    [Fact]
    public void The_file_of_its_own_wins_over_the_configuration()
    {
        using var folder = new PretrainedFolder()
            .With("tokenizer_config.json", Configuration(Qwen2.Replace("SYSTEM", "of the configuration", StringComparison.Ordinal)))
            .With(
                "chat_template.json",
                new JsonObject { ["chat_template"] = Qwen2.Replace("SYSTEM", "of the old file", StringComparison.Ordinal) }.ToJsonString());
        using (QwenPretrained configured = QwenPretrained.Load(folder.Path))
        {
            Assert.Contains("of the configuration", configured.ChatTemplate.Render(Question), StringComparison.Ordinal);
        }

        folder.With("chat_template.jinja", Qwen2.Replace("SYSTEM", "of the file", StringComparison.Ordinal));
        using QwenPretrained own = QwenPretrained.Load(folder.Path);
        Assert.Contains("of the file", own.ChatTemplate.Render(Question), StringComparison.Ordinal);
    }

    [Fact]
    public void The_older_file_is_read_where_nothing_else_names_a_template()
    {
        using var folder = new PretrainedFolder()
            .With(
                "chat_template.json",
                new JsonObject { ["chat_template"] = Qwen2.Replace("SYSTEM", "of the old file", StringComparison.Ordinal) }.ToJsonString());
        using QwenPretrained qwen = QwenPretrained.Load(folder.Path);
        Assert.Contains("of the old file", qwen.ChatTemplate.Render(Question), StringComparison.Ordinal);
    }

    [Fact]
    public void Of_several_templates_the_default_one_is_taken()
    {
        string several = new JsonObject
        {
            ["chat_template"] = new JsonArray(
                new JsonObject { ["name"] = "tool_use", ["template"] = "{{ tools }}" },
                new JsonObject { ["name"] = "default", ["template"] = Qwen2.Replace("SYSTEM", "first", StringComparison.Ordinal) }),
        }.ToJsonString();
        using var folder = new PretrainedFolder().With("tokenizer_config.json", several);
        using QwenPretrained qwen = QwenPretrained.Load(folder.Path);
        Assert.Contains("first", qwen.ChatTemplate.Render(Question), StringComparison.Ordinal);

        folder.With("tokenizer_config.json", several.Replace("\"default\"", "\"rag\"", StringComparison.Ordinal));
        ErrorAssert.Says<InvalidDataException>("none is named \"default\"", () => QwenPretrained.Load(folder.Path));
    }

    public static TheoryData<string> UnsupportedTemplates => new()
    {
        "{% include 'other.jinja' %}",
        "{% for m in messages %}{{ m.content | wordwrap }}{% endfor %}",
        "{{ messages[0].content.encode() }}",
        "The messages are left out.",
        Qwen2.Replace("SYSTEM", @"\N{BULLET}", StringComparison.Ordinal),
        "",
    };

    [Theory]
    [MemberData(nameof(UnsupportedTemplates))]
    public void A_template_that_cannot_be_used_is_refused(string template)
    {
        using var folder = new PretrainedFolder().With("tokenizer_config.json", Configuration(template));
        string message = Assert.Throws<InvalidDataException>(() => QwenPretrained.Load(folder.Path)).Message;
        Assert.Contains("IChatTemplate", message, StringComparison.Ordinal);
        Assert.Contains("tokenizer_config.json", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("<|im_start|>")]
    [InlineData("<|im_end|>")]
    public void A_marker_that_is_no_token_is_refused(string marker)
    {
        JsonObject tokenizer = TinyTokenizer.TokenizerJson();
        tokenizer["added_tokens"]!.AsArray().Single(token => token!["content"]!.GetValue<string>() == marker)!["content"] = "<|other|>";
        using var folder = new PretrainedFolder()
            .With("tokenizer.json", tokenizer.ToJsonString())
            .With("tokenizer_config.json", Configuration(Qwen2.Replace("SYSTEM", "S", StringComparison.Ordinal)));
        string message = Assert.Throws<InvalidDataException>(() => QwenPretrained.Load(folder.Path)).Message;
        Assert.Contains(marker, message, StringComparison.Ordinal);
        Assert.Contains("IChatTemplate", message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_refusal_names_the_line_and_the_construct()
    {
        using var folder = new PretrainedFolder().With("chat_template.jinja", "{{ messages[0].content }}\n\n  {% include 'x' %}");
        ErrorAssert.Says<InvalidDataException>(
            "line 3, column 6: the statement 'include' is not supported.", () => QwenPretrained.Load(folder.Path));
        ErrorAssert.Says<InvalidDataException>("--chat-template", () => QwenPretrained.Load(folder.Path));
    }

    [SharedTheory]
    [InlineData("r1-distill.tokenizer_config.json", "<｜begin▁of▁sentence｜><｜User｜>2+2?<｜Assistant｜><think>\n")]
    [InlineData("chat-template-other.tokenizer_config.json", "[user] 2+2?\n[assistant] ")]
    public void The_shared_templates_are_interpreted(string file, string expected)
    {
        using var folder = PretrainedFolder.WithRealVocabulary()
            .With("tokenizer_config.json", File.ReadAllText(SharedData.Path("cases", file)));
        using QwenPretrained qwen = QwenPretrained.Load(folder.Path);
        Assert.Equal(expected, qwen.ChatTemplate.Render(Question));
    }

    [SharedFact]
    public void The_shared_base_model_ends_where_its_template_closes()
    {
        using var folder = PretrainedFolder.WithRealVocabulary()
            .With("tokenizer_config.json", File.ReadAllText(SharedData.Path("cases", "base-model.tokenizer_config.json")))
            .With("generation_config.json", File.ReadAllText(SharedData.Path("cases", "base-model.generation_config.json")));
        using QwenPretrained qwen = QwenPretrained.Load(folder.Path);
        Assert.Equal([151_643, 151_645], qwen.Tokenizer.EndTokenIds.Order());
        _ = new SupervisedTrainer(
            qwen.Policy, new SupervisedData([new SupervisedExample(Prompt.Create("p", "2+2?"), "4")], qwen.Tokenizer, qwen.ChatTemplate));
    }

    // Each pair names another end than <|im_end|> (260); 258 is <|endoftext|>.
    [Theory]
    [InlineData("generation_config.json", """{"eos_token_id": 258}""")]
    [InlineData("generation_config.json", """{"eos_token_id": [258]}""")]
    [InlineData("tokenizer_config.json", """{"eos_token": "<|endoftext|>"}""")]
    [InlineData("special_tokens_map.json", """{"eos_token": {"content": "<|endoftext|>"}}""")]
    public void The_closing_token_of_the_template_ends_a_run(string file, string content)
    {
        using var folder = new PretrainedFolder().With(file, content);
        using QwenPretrained qwen = QwenPretrained.Load(folder.Path);
        Assert.Equal([258, 260], qwen.Tokenizer.EndTokenIds.Order());
        _ = new SupervisedTrainer(
            qwen.Policy, new SupervisedData([new SupervisedExample(Prompt.Create("p", "2+2?"), "4")], qwen.Tokenizer, qwen.ChatTemplate));
    }

    private static string Configuration(string template) => new JsonObject { ["chat_template"] = template }.ToJsonString();
}

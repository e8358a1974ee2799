using System.Text.Json.Nodes;
using Grpo.Hub;
using Grpo.Modeling;
using Grpo.Models.Qwen.Planning;
using Grpo.Models.Qwen.Text;
using Grpo.Testing;
using Microsoft.Extensions.AI;

namespace Grpo.Models.Qwen.Tests.Text;

/// <summary>
/// What the options say of the chat template, and that a saved checkpoint is loaded with the template that it was trained with.
/// </summary>
public sealed class SavedTemplateTests : IDisposable
{
    private static readonly ChatMessage[] Question = [new(ChatRole.User, "2+2?")];

    private readonly TemporaryFolder _saved = new();

    [Fact]
    public void A_checkpoint_without_template_gets_that_of_Qwen25_and_says_so_once()
    {
        var logger = new ListLogger();
        using var folder = new PretrainedFolder();
        using QwenPretrained qwen = QwenPretrained.Load(folder.Path, new QwenLoadOptions { Logger = logger });
        Assert.True(qwen.IsChatTemplateAssumed);
        Assert.StartsWith(
            "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud.", qwen.ChatTemplate.Render(Question), StringComparison.Ordinal);
        Assert.Contains(
            $"'{folder.Path}' has no chat template: Qwen2.5's is used", Assert.Single(logger.Messages), StringComparison.Ordinal);

        qwen.Policy.Save(_saved.Path);
        using QwenPretrained again = QwenPretrained.Load(_saved.Path, new QwenLoadOptions { Logger = logger });
        Assert.False(again.IsChatTemplateAssumed);
        Assert.Single(logger.Messages);
        Assert.Equal(qwen.ChatTemplate.Render(Question), again.ChatTemplate.Render(Question));
    }

    [Theory]
    [InlineData("You are a helpful assistant.")]
    [InlineData("It's \"so\": \\boxed{}.\nZwei Zeilen,\tein Tab, é, 𝄞, <|im_end|>.")]
    [InlineData("")]
    [InlineData(null)]
    public void A_given_template_of_Qwen_is_saved(string? system)
    {
        using var folder = new PretrainedFolder().With("tokenizer_config.json", """{"chat_template": "{{ unknown }}"}""");
        using QwenPretrained qwen = QwenPretrained.Load(folder.Path, new QwenLoadOptions { ChatTemplate = new QwenChatTemplate(system) });
        qwen.Policy.Save(_saved.Path);
        using QwenPretrained again = QwenPretrained.Load(_saved.Path);
        Assert.Equal(
            ((IHasIdentity)qwen.ChatTemplate).Identity.Facts, Assert.IsType<JinjaChatTemplate>(again.ChatTemplate).Identity.Facts);
        Assert.Equal(qwen.ChatTemplate.Render(Question), again.ChatTemplate.Render(Question));
    }

    [Theory]
    [InlineData(null)]                                                        // loading would assume Qwen2.5's
    [InlineData("{{ unknown }}")]                                             // loading refuses it already
    [InlineData("known")]                                                     // loading would take it
    public void A_template_that_is_code_must_be_given_again(string? own)
    {
        string? text = own == "known" ? ChatTemplateText.Write("S") : own;
        using var folder = new PretrainedFolder();
        if (text is not null)
        {
            folder.With("chat_template.jinja", text);
        }

        var options = new QwenLoadOptions { ChatTemplate = new Shouting() };
        using QwenPretrained qwen = QwenPretrained.Load(folder.Path, options);
        Assert.Equal("2+2?!", qwen.ChatTemplate.Render(Question));
        qwen.Policy.Save(_saved.Path);
        ErrorAssert.Says<InvalidDataException>("IChatTemplate", () => QwenPretrained.Load(_saved.Path));
        using QwenPretrained again = QwenPretrained.Load(_saved.Path, options);
        Assert.Equal("2+2?!", again.ChatTemplate.Render(Question));
        if (own == "{{ unknown }}")
        {
            Assert.Equal(text, File.ReadAllText(_saved.File("chat_template.jinja"))); // for those who can render it
        }
    }

    [Fact]
    public void A_given_template_whose_end_is_no_token_is_refused()
    {
        using var folder = new PretrainedFolder();
        ErrorAssert.Says<InvalidDataException>(
            "Shouting writes '<END>', which is no token of the vocabulary",
            () => QwenPretrained.Load(folder.Path, new QwenLoadOptions { ChatTemplate = new Shouting { EndOfTurn = "<END>" } }));
    }

    [Fact]
    public void Save_writes_the_files_as_they_were_when_they_say_everything()
    {
        string configuration = new JsonObject { ["chat_template"] = ChatTemplateText.Write("S"), ["eos_token"] = "<|im_end|>" }
            .ToJsonString();
        using var folder = new PretrainedFolder()
            .With("tokenizer_config.json", configuration)
            .With("chat_template.json", new JsonObject { ["chat_template"] = "{{ for_processors }}" }.ToJsonString())
            .With("generation_config.json", """{ "eos_token_id": [260, 258], "temperature": 0.7 }""");
        using QwenPretrained qwen = QwenPretrained.Load(folder.Path);
        qwen.Policy.Save(_saved.Path);
        foreach (string name in (ReadOnlySpan<string>)["tokenizer_config.json", "chat_template.json", "generation_config.json",
            "tokenizer.json"])
        {
            Assert.Equal(File.ReadAllBytes(folder.File(name)), File.ReadAllBytes(_saved.File(name)));
        }

        Assert.False(File.Exists(_saved.File("chat_template.jinja")));
    }

    [Fact]
    public void Save_replaces_the_template_that_another_model_left()
    {
        _saved.Write("chat_template.jinja", ChatTemplateText.Write("of another model"));
        using var folder = new PretrainedFolder()
            .With("tokenizer_config.json", new JsonObject { ["chat_template"] = ChatTemplateText.Write("S") }.ToJsonString());
        using QwenPretrained qwen = QwenPretrained.Load(folder.Path);
        qwen.Policy.Save(_saved.Path);
        using QwenPretrained again = QwenPretrained.Load(_saved.Path);
        Assert.Equal(qwen.ChatTemplate.Render(Question), again.ChatTemplate.Render(Question));
    }

    [SharedFact]
    public void R1_Distill_can_be_loaded_with_a_template_of_its_own()
    {
        using var folder = PretrainedFolder.WithRealVocabulary()
            .With("tokenizer_config.json", File.ReadAllText(SharedData.Path("cases", "r1-distill.tokenizer_config.json")));
        ErrorAssert.Says<InvalidDataException>(
            "'<|im_start|>', which is no token",
            () => QwenPretrained.Load(folder.Path, new QwenLoadOptions { ChatTemplate = new QwenChatTemplate() }));
        using QwenPretrained qwen = QwenPretrained.Load(
            folder.Path, new QwenLoadOptions { ChatTemplate = new Shouting { EndOfTurn = "<｜end▁of▁sentence｜>" } });
        Assert.Equal([151_643], qwen.Tokenizer.EndTokenIds);
    }

    [Theory]
    [InlineData("""{ "eos_token_id": 258, "temperature": 0.7 }""", """{ "temperature": 0.7, "eos_token_id": [258, 260] }""")]
    [InlineData("""{ "eos_token_id": [258], "x": { "y": [1, null] } }""", """{ "x": { "y": [1, null] }, "eos_token_id": [258, 260] }""")]
    public void Save_names_the_templates_end_where_the_files_do_not(string before, string after)
    {
        using var folder = new PretrainedFolder().With("generation_config.json", before);
        using QwenPretrained qwen = QwenPretrained.Load(folder.Path);
        qwen.Policy.Save(_saved.Path);
        JsonNode saved = JsonNode.Parse(File.ReadAllText(_saved.File("generation_config.json")))!;
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse(after), saved), saved.ToJsonString());
        Assert.Equal([258, 260], QwenTokenizer.Load(_saved.Path).EndTokenIds.Order());
    }

    [Fact]
    public void An_adapter_carries_its_template()
    {
        using var folder = new PretrainedFolder().With("chat_template.jinja", ChatTemplateText.Write("of the base"));
        var options = new QwenLoadOptions { Lora = LoraModels.Options, ChatTemplate = new QwenChatTemplate("of the adapter") };
        using (QwenPretrained qwen = QwenPretrained.Load(folder.Path, options))
        {
            qwen.Policy.Save(_saved.Path);
        }

        using QwenPretrained again = QwenPretrained.Load(_saved.Path);
        Assert.Contains("of the adapter", again.ChatTemplate.Render(Question), StringComparison.Ordinal);
        again.Policy.MergeAdapter();
        using var merged = new TemporaryFolder();
        again.Policy.Save(merged.Path);
        using QwenPretrained whole = QwenPretrained.Load(merged.Path);
        Assert.Contains("of the adapter", whole.ChatTemplate.Render(Question), StringComparison.Ordinal);

        File.WriteAllText(_saved.File("chat_template.jinja"), "{{ unknown }}");
        ErrorAssert.Says<InvalidDataException>("IChatTemplate", () => QwenPretrained.Load(_saved.Path));
    }

    [Fact]
    public async Task A_plan_refuses_and_says_what_loading_would()
    {
        var logger = new ListLogger();
        var options = new QwenLoadOptions { Logger = logger };
        using var folder = new PretrainedFolder();
        _ = await QwenMemory.OfAsync(folder.Path, options);
        Assert.Contains("has no chat template", Assert.Single(logger.Messages), StringComparison.Ordinal);

        folder.With("chat_template.jinja", "{{ unknown }}");
        Assert.Contains(
            "IChatTemplate", (await Assert.ThrowsAsync<InvalidDataException>(() => QwenMemory.OfAsync(folder.Path, options))).Message,
            StringComparison.Ordinal);
        _ = await QwenMemory.OfAsync(folder.Path, options with { ChatTemplate = new Shouting() });

        // Of a model on a hub nothing but these two files are there.
        _saved.Write("config.json", File.ReadAllText(folder.File("config.json")));
        _ = await QwenMemory.OfAsync(_saved.Path, options);
        _saved.Write("tokenizer_config.json", """{"chat_template": "{{ unknown }}"}""");
        await Assert.ThrowsAsync<InvalidDataException>(() => QwenMemory.OfAsync(_saved.Path, options));
        Assert.Single(logger.Messages);
    }

    [Fact]
    public void A_plan_fetches_what_may_hold_the_template()
    {
        var files = new HubConfigFile(HubRepositoryId.Model("owner/name"));
        string[] wanted = ["config.json", "tokenizer_config.json", "chat_template.jinja", "chat_template.json"];
        Assert.Equal(wanted, files.Select(new HashSet<string>([.. wanted, "model.safetensors", "tokenizer.json"])));
        Assert.Equal(["config.json"], files.Select(new HashSet<string>(["config.json", "vocab.json"])));
    }

    [Fact]
    public async Task A_plan_refuses_a_vocabulary_without_the_markers()
    {
        JsonObject tokenizer = TinyTokenizer.TokenizerJson();
        tokenizer["added_tokens"]![1]!["content"] = "<|user|>";
        using var folder = new PretrainedFolder().With("tokenizer.json", tokenizer.ToJsonString());
        Assert.Contains(
            "'<|im_start|>', which is no token",
            (await Assert.ThrowsAsync<InvalidDataException>(() => QwenMemory.OfAsync(folder.Path))).Message, StringComparison.Ordinal);
    }

    // The second template renders conversations that offer tools. Lost, the first one would leave the tools out without a word.
    [Theory]
    [InlineData("list")]
    [InlineData("files")]
    [InlineData("given")]
    public void The_template_for_tools_is_saved(string from)
    {
        const string Plain = "{{ messages[0].content }}<|im_end|>", WithTools = "{{ tools[0].function.name }}<|im_end|>";
        using PretrainedFolder folder = new PretrainedFolder().With("chat_template.jinja", "old {{ messages[0].content }}<|im_end|>");
        var options = new QwenLoadOptions();
        switch (from)
        {
            case "list":
                File.Delete(folder.File("chat_template.jinja"));
                var list = new JsonArray(
                    new JsonObject { ["name"] = "default", ["template"] = Plain },
                    new JsonObject { ["name"] = "tool_use", ["template"] = WithTools });
                folder.With("tokenizer_config.json", new JsonObject { ["chat_template"] = list }.ToJsonString());
                break;
            case "files":
                Directory.CreateDirectory(folder.File("additional_chat_templates"));
                folder.With("chat_template.jinja", Plain).With("additional_chat_templates/tool_use.jinja", WithTools);
                break;
            default:
                options = options with { ChatTemplate = new JinjaChatTemplate(Plain, WithTools) };
                break;
        }

        // Files of another model, which would take precedence.
        File.WriteAllText(Path.Combine(_saved.Path, "chat_template.jinja"), "stale");
        Directory.CreateDirectory(Path.Combine(_saved.Path, "additional_chat_templates"));
        File.WriteAllText(Path.Combine(_saved.Path, "additional_chat_templates", "tool_use.jinja"), "stale");
        using (QwenPretrained qwen = QwenPretrained.Load(folder.Path, options))
        {
            qwen.Policy.Save(_saved.Path);
        }

        using QwenPretrained again = QwenPretrained.Load(_saved.Path);
        var template = Assert.IsType<JinjaChatTemplate>(again.ChatTemplate);
        Assert.Equal((Plain, WithTools), (template.Text, template.ToolUseText));
        AITool tool = AIFunctionFactory.Create((int a) => a + 1, "add", "Adds one.");
        Assert.Equal("add<|im_end|>", template.Render(Question, [tool], addGenerationPrompt: true));
    }

    public void Dispose() => _saved.Dispose();

    /// <summary>A template that no file describes.</summary>
    private sealed class Shouting : IEndOfTurnTemplate
    {
        public string EndOfTurn { get; init; } = "<|im_end|>";

        public string Render(IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt = true) => messages[^1].Text + "!";
    }
}

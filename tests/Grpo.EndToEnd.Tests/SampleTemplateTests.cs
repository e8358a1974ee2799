using System.Text.Json.Nodes;

namespace Grpo.EndToEnd.Tests;

/// <summary>Checkpoints whose chat template or end tokens are not those of the model that comes with the sample.</summary>
[Trait("Speed", "Slow")]
public sealed class SampleTemplateTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("grpo-template-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("plan")]
    [InlineData("generate", "2+2?")]
    [InlineData("eval", "--eval-count", "1")]
    [InlineData("train", "--steps", "1", "--output", "OUTPUT")]
    [InlineData("sft", "--steps", "1", "--dataset", "DATA", "--output", "OUTPUT")]
    public async Task A_template_with_an_unknown_construct_is_refused(params string[] command)
    {
        string model = CopyTiny();
        File.WriteAllText(
            Path.Combine(model, "chat_template.jinja"), "{% for m in messages %}{{ m.content | wordwrap }}{% endfor %}");
        (await RunAsync(model, command)).Failed("chat_template.jinja", "the filter 'wordwrap' is not supported", "--chat-template");
    }

    [Fact]
    public async Task A_template_without_thoughts_refuses_the_switch_for_them() =>
        (await RunAsync(CopyTiny(), "plan", "--chat-template", "chatml", "--enable-thinking", "false"))
            .Failed("--enable-thinking is set, but --chat-template chatml knows no thoughts");

    // The files name <|endoftext|> (509) as the end; the template closes messages with <|im_end|> (511).
    [Fact]
    public async Task A_base_model_is_trained_and_ends_where_its_template_closes()
    {
        string model = CopyTiny();
        File.Delete(Path.Combine(model, "chat_template.jinja"));
        File.WriteAllText(Path.Combine(model, "generation_config.json"), """{ "eos_token_id": 509, "max_new_tokens": 2048 }""");
        SampleProcess.Result plan = (await RunAsync(model, "plan")).Succeeded();
        Assert.Contains("has no chat template: Qwen2.5's is used", plan.Errors, StringComparison.Ordinal);

        SampleProcess.Result sft = (await RunAsync(model, "sft", "--steps", "1", "--dataset", "DATA", "--output", "OUTPUT")).Succeeded();
        Assert.Contains("has no chat template: Qwen2.5's is used", sft.Errors, StringComparison.Ordinal);

        string trained = Path.Combine(_folder, "output");
        Assert.Equal("[509,511]", JsonNode.Parse(File.ReadAllText(Path.Combine(trained, "generation_config.json")))!["eos_token_id"]!
            .ToJsonString());
        SampleProcess.Result answer = (await RunAsync(trained, "generate", "Ben has 9 cups and gives 4 away. How many cups are left?"))
            .Succeeded();
        Assert.DoesNotContain("no chat template", answer.Errors, StringComparison.Ordinal);
        Assert.DoesNotContain("cut at the length limit", answer.Output, StringComparison.Ordinal);
    }

    private async Task<SampleProcess.Result> RunAsync(string model, params string[] command)
    {
        string data = Path.Combine(_folder, "train.jsonl");
        await File.WriteAllLinesAsync(data,
        [
            """{"question": "Ben has 9 cups and gives 4 away. How many cups are left?", """
            + "\"answer\": \"There are 9 - 4 = 5 cups left.\\n#### 5\"}",
        ]);
        string[] named =
            [.. command.Select(word => word switch { "DATA" => data, "OUTPUT" => Path.Combine(_folder, "output"), _ => word })];
        return await SampleProcess.RunAsync("Gsm8k", [.. named, "--model", model]);
    }

    private string CopyTiny()
    {
        string model = Path.Combine(_folder, "model");
        Directory.CreateDirectory(model);
        foreach (string file in Directory.GetFiles(SampleProcess.TinyModel))
        {
            File.Copy(file, Path.Combine(model, Path.GetFileName(file)));
        }

        return model;
    }
}

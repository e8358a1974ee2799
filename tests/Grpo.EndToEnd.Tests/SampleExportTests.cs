namespace Grpo.EndToEnd.Tests;

/// <summary>The sample's command <c>export</c>, run as a user does.</summary>
[Trait("Speed", "Slow")]
public sealed class SampleExportTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("grpo-export-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task An_adapter_of_a_run_is_merged_and_answers()
    {
        string run = Path.Combine(_folder, "run");
        (await SampleProcess.RunAsync(
            "Gsm8k", "train", "--output", run, "--lora-rank", "2", "--steps", "1", "--group-size", "2", "--prompts-per-step", "2",
            "--eval-count", "2")).Succeeded();
        string checkpoint = Path.Combine(run, "checkpoints", "checkpoint-000001");
        string merged = Path.Combine(_folder, "new", "merged");
        SampleProcess.Result export =
            (await SampleProcess.RunAsync("Gsm8k", "export", "--model", checkpoint, "--output", merged)).Succeeded();
        Assert.Contains("50 tensors in BF16", export.Output, StringComparison.Ordinal);
        Assert.True(File.Exists(Path.Combine(merged, "task.json")));

        SampleProcess.Result answer = (await SampleProcess.RunAsync(
            "Gsm8k", "generate", "Sam has 50 eggs. Ann gives Sam 5 more eggs. How many eggs does Sam have now?", "--model", merged))
            .Succeeded();
        Assert.Contains("<answer>", answer.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_ending_of_the_output_chooses_the_format()
    {
        string file = Path.Combine(_folder, "model.gguf");
        SampleProcess.Result export = (await SampleProcess.RunAsync("Gsm8k", "export", "--output", file, "--type", "Q8_0")).Succeeded();
        Assert.Contains("50 tensors in Q8_0", export.Output, StringComparison.Ordinal);
        Assert.Equal("GGUF"u8, File.ReadAllBytes(file).AsSpan(0, 4));

        (await SampleProcess.RunAsync("Gsm8k", "export", "--output", file)).Failed("exists", "--overwrite");
        (await SampleProcess.RunAsync("Gsm8k", "export", "--output", file, "--overwrite")).Succeeded();
        (await SampleProcess.RunAsync("Gsm8k", "export", "--output", file, "--format", "safetensors")).Failed("is a GGUF file");
        (await SampleProcess.RunAsync("Gsm8k", "export", "--output", _folder + "/x", "--model", "/no/such/model")).Failed("/no/such/model");
    }

    [Fact]
    public async Task A_replaced_model_leaves_no_task_and_a_template_may_be_given()
    {
        string model = Directory.CreateDirectory(Path.Combine(_folder, "model")).FullName, target = Path.Combine(_folder, "out");
        foreach (string file in Directory.GetFiles(SampleProcess.TinyModel))
        {
            File.Copy(file, Path.Combine(model, Path.GetFileName(file)));
        }

        (await SampleProcess.RunAsync("Gsm8k", "export", "--output", target)).Succeeded();
        Assert.True(File.Exists(Path.Combine(target, "task.json")));

        File.Delete(Path.Combine(model, "task.json"));
        File.WriteAllText(Path.Combine(model, "chat_template.jinja"), "{{ messages | wordwrap }}");
        string[] command = ["export", "--model", model, "--output", target, "--overwrite"];
        (await SampleProcess.RunAsync("Gsm8k", command)).Failed("the filter 'wordwrap' is not supported", "--chat-template");
        Assert.True(File.Exists(Path.Combine(target, "task.json")));

        (await SampleProcess.RunAsync("Gsm8k", [.. command, "--chat-template", "chatml"])).Succeeded();
        Assert.False(File.Exists(Path.Combine(target, "task.json")));
        Assert.DoesNotContain("wordwrap", File.ReadAllText(Path.Combine(target, "chat_template.jinja")), StringComparison.Ordinal);
    }
}

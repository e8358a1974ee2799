using System.Text.Json;
using Grpo.Testing;
using Grpo.Training;

namespace Grpo.EndToEnd.Tests;

/// <summary>A trained model is asked as it was in training, by every command that loads it.</summary>
[Trait("Speed", "Slow")]
public sealed class SampleTaskTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Generate_answers_as_the_evaluation_of_the_run_does()
    {
        string run = _folder["run"], json = _folder["eval.json"];
        (await SampleProcess.RunAsync(
            "Gsm8k", "train", "--output", run, "--steps", "1", "--prompts-per-step", "2", "--eval-count", "4", "--max-completion-tokens",
            "100")).Succeeded();
        string checkpoint = Path.Combine(run, "checkpoints", "checkpoint-000001");
        TaskDescription task = TaskDescription.Read(checkpoint)!;
        Assert.Equal(
            ("Solve step by step.", "TagAnswer", 1024, 100),
            (task.SystemPrompt, task.AnswerFormat, task.MaxPromptTokens, task.MaxCompletionTokens));

        // The limit of 100 is the run's, not the command's default of 256.
        (await SampleProcess.RunAsync("Gsm8k", "eval", "--model", checkpoint, "--eval-count", "4", "--json", json)).Succeeded();
        JsonElement evaluation = JsonDocument.Parse(File.ReadAllText(json)).RootElement;
        Assert.Equal("Solve step by step.", evaluation.GetProperty("about").GetProperty("system_prompt").GetString());
        Assert.Equal("100", evaluation.GetProperty("about").GetProperty("max_completion_tokens").GetString());

        foreach (JsonElement item in evaluation.GetProperty("report").GetProperty("items").EnumerateArray().Take(2))
        {
            string question = item.GetProperty("question").GetString()!;
            SampleProcess.Result generate = (await SampleProcess.RunAsync("Gsm8k", "generate", question, "--model", checkpoint))
                .Succeeded();
            Assert.Equal(
                item.GetProperty("completion").GetProperty("text").GetString()!.Trim(), generate.Output.ReplaceLineEndings("\n").Trim());
            Assert.Equal("", generate.Errors);
        }

        // What the command line says wins, and is said.
        SampleProcess.Result other = (await SampleProcess.RunAsync(
            "Gsm8k", "generate", "How many?", "--model", checkpoint, "--system-prompt", "Think.", "--max-completion-tokens", "4"))
            .Succeeded();
        Assert.Contains(
            "The model was trained with the system prompt 'Solve step by step.'; the settings ask for 'Think.'.", other.Errors,
            StringComparison.Ordinal);
        Assert.Contains(
            "The model was trained with MaxCompletionTokens 100; the settings ask for 4.", other.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Train_keeps_the_form_of_the_model_that_it_starts_from()
    {
        // An adapter's folder has the file as well, and an adapter on top of a model that answers in boxes learns to answer in boxes.
        string model = _folder["model"], run = _folder["run"];
        Directory.CreateDirectory(model);
        foreach (string file in Directory.GetFiles(SampleProcess.TinyModel))
        {
            File.Copy(file, Path.Combine(model, Path.GetFileName(file)));
        }

        new TaskDescription { SystemPrompt = "Box it.", AnswerFormat = "Boxed", MaxPromptTokens = 300, MaxCompletionTokens = 24 }
            .Write(model);
        (await SampleProcess.RunAsync(
            "Gsm8k", "train", "--model", model, "--output", run, "--steps", "1", "--prompts-per-step", "1", "--group-size", "2",
            "--eval-count", "2", "--lora-rank", "2")).Succeeded();

        TaskDescription task = TaskDescription.Read(Path.Combine(run, "checkpoints", "checkpoint-000001"))!;
        Assert.Equal(("Box it.", "Boxed", 300, 24), (task.SystemPrompt, task.AnswerFormat, task.MaxPromptTokens, task.MaxCompletionTokens));
        Assert.Contains("Boxed", (await SampleProcess.RunAsync(
            "Gsm8k", "eval", "--model", Path.Combine(run, "checkpoints", "checkpoint-000001"), "--eval-count", "2")).Succeeded().Output,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task Damaged_task_is_named()
    {
        string model = _folder["model"];
        Directory.CreateDirectory(model);
        File.WriteAllText(Path.Combine(model, "task.json"), "{\"format\": 1");
        (await SampleProcess.RunAsync("Gsm8k", "generate", "How many?", "--model", model)).Failed("task.json' does not describe a task");
    }

    [Fact]
    public void The_tiny_model_says_what_pretrain_writes()
    {
        Samples.Gsm8k.Defaults.TinyTask.Write(_folder.Path);
        Assert.Equal(File.ReadAllText(_folder["task.json"]), File.ReadAllText(Path.Combine(SampleProcess.TinyModel, "task.json")));
    }
}

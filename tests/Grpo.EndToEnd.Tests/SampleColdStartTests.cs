namespace Grpo.EndToEnd.Tests;

/// <summary>The supervised commands of the GSM8K sample from the outside.</summary>
[Trait("Speed", "Slow")]
public sealed class SampleColdStartTests : IDisposable
{
    private readonly string _output = Directory.CreateTempSubdirectory("grpo-e2e-").FullName;

    public void Dispose() => Directory.Delete(_output, recursive: true);

    [Fact]
    public async Task Pretrain_makes_the_same_bytes_again_also_from_a_checkpoint()
    {
        string first = Path.Combine(_output, "first"), second = Path.Combine(_output, "second");
        string[] settings = ["pretrain", "--examples", "600", "--steps", "6"];
        (await SampleProcess.RunAsync("Gsm8k", [.. settings, "--output", first])).Succeeded();
        (await SampleProcess.RunAsync("Gsm8k", [.. settings, "--checkpoint-every", "2", "--output", second])).Succeeded();
        Compare();

        // What a crash after the second step would have left.
        foreach (string file in Directory.GetFiles(second))
        {
            File.Delete(file);
        }

        Directory.Delete(Path.Combine(second, "checkpoints", "checkpoint-000004"), recursive: true);
        Directory.Delete(Path.Combine(second, "checkpoints", "checkpoint-000006"), recursive: true);
        SampleProcess.Result resumed = (await SampleProcess.RunAsync("Gsm8k", [.. settings, "--resume", "true", "--output", second]))
            .Succeeded();
        Assert.StartsWith("step     3/6", resumed.Output, StringComparison.Ordinal);
        Compare();

        Assert.False(Directory.Exists(Path.Combine(first, "checkpoints"))); // none were asked for

        void Compare() => Assert.All(
            new[] { "model.safetensors", "vocab.json", "merges.txt", "config.json" },
            file => Assert.Equal(File.ReadAllBytes(Path.Combine(first, file)), File.ReadAllBytes(Path.Combine(second, file))));
    }

    [Fact]
    public async Task Sft_teaches_the_solutions_of_a_file_in_the_asked_format()
    {
        string data = Path.Combine(_output, "train.jsonl"), model = Path.Combine(_output, "model");
        await File.WriteAllLinesAsync(data,
        [
            """{"question": "Anna has 3 pens and buys 4 more. How many pens does Anna have?", """
            + "\"answer\": \"Anna has 3 + 4 = <<3+4=7>>7 pens.\\n#### 7\"}",
            """{"question": "Ben has 9 cups and gives 4 away. How many cups are left?", """
            + "\"answer\": \"There are 9 - 4 = <<9-4=5>>5 cups left.\\n#### 5\"}",
        ]);
        SampleProcess.Result sft = (await SampleProcess.RunAsync(
            "Gsm8k", "sft", "--model", SampleProcess.TinyModel, "--dataset", data, "--eval-dataset", data, "--answer-format", "HashMarks",
            "--steps", "60", "--batch-size", "2", "--learning-rate", "1e-3", "--output", model)).Succeeded();
        SampleProcess.Result generate = (await SampleProcess.RunAsync(
            // asked as it was trained
            "Gsm8k", "generate", "Ben has 9 cups and gives 4 away. How many cups are left?", "--model", model)).Succeeded();

        Assert.Contains("held-out ", sft.Output, StringComparison.Ordinal);
        Assert.Equal("There are 9 - 4 = <<9-4=5>>5 cups left.\n#### 5", generate.Output.ReplaceLineEndings("\n").Trim());
    }

    [Fact]
    public async Task Sft_says_what_is_missing()
    {
        SampleProcess.Result result = await SampleProcess.RunAsync(
            "Gsm8k", "sft", "--model", SampleProcess.TinyModel, "--dataset", Path.Combine(_output, "none.jsonl"), "--output", _output);

        Assert.NotEqual(0, result.ExitCode);
        Assert.Contains("none.jsonl', but there is no such file", result.Errors, StringComparison.Ordinal);
    }
}

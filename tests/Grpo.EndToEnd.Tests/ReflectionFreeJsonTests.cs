namespace Grpo.EndToEnd.Tests;

/// <summary>
/// The library in a process without reflection-based JSON, as in a file-based app (<c>dotnet run app.cs</c>) or a trimmed one.
/// </summary>
[Trait("Speed", "Slow")]
public sealed class ReflectionFreeJsonTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("grpo-json-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Every_json_file_is_written_and_read_without_reflection()
    {
        (int code, string output, string errors) = await StressProcess.RunAsync("json", _folder);

        Assert.True(code == 0, output + errors);
        string[] lines = output.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(
            [
                "replayed 3", "evaluated 2", "taught 1", "taught 2",
                "adapter_config.json", "base_model_location.json", "best.json", "checkpoint.json", "completions.jsonl", "config.json",
                "evaluation.json", "grpo_state.json", "log_counts.json", "metrics.jsonl", "report_state.json", "run_options.json",
                "supervised_state.json", "tokenizer_config.json", "trainer_state.json", "vocab.json",
            ],
            lines);
    }
}

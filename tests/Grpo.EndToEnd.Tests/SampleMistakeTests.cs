namespace Grpo.EndToEnd.Tests;

/// <summary>What a user gets wrong, and what the sample says.</summary>
[Trait("Speed", "Slow")]
public sealed class SampleMistakeTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("grpo-mistakes-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Unknown_option_is_named() =>
        (await SampleProcess.RunAsync("Gsm8k", "train", "--learning-rat", "1e-5")).Failed("--learning-rat");

    [Fact]
    public async Task Value_of_the_wrong_type_is_named() =>
        (await SampleProcess.RunAsync("Gsm8k", "train", "--group-size", "many", "--output", _folder)).Failed("Grpo:GroupSize");

    [Fact]
    public async Task Missing_model_folder_is_named() =>
        (await SampleProcess.RunAsync("Gsm8k", "train", "--model", "/no/such/folder", "--output", _folder)).Failed("/no/such/folder");

    [Fact]
    public async Task Folder_without_weights_is_named()
    {
        foreach (string file in Directory.GetFiles(SampleProcess.TinyModel)
            .Where(file => !file.EndsWith(".safetensors", StringComparison.Ordinal)))
        {
            File.Copy(file, Path.Combine(_folder, Path.GetFileName(file)));
        }

        (await SampleProcess.RunAsync("Gsm8k", "eval", "--model", _folder)).Failed("model.safetensors");
    }

    [Fact]
    public async Task Broken_json_line_is_named_with_file_and_line()
    {
        string file = Path.Combine(_folder, "train.jsonl");
        File.WriteAllText(file, "{\"question\": \"1+1?\", \"answer\": \"#### 2\"}\n{\"question\": \n");
        (await SampleProcess.RunAsync("Gsm8k", "train", "--dataset", file, "--output", _folder)).Failed("train.jsonl", "2");
    }

    [Fact]
    public async Task Empty_dataset_is_named()
    {
        string file = Path.Combine(_folder, "empty.jsonl");
        File.WriteAllText(file, "");
        (await SampleProcess.RunAsync("Gsm8k", "train", "--dataset", file, "--output", _folder)).Failed("empty.jsonl");
    }

    [Fact]
    public async Task Group_of_one_is_refused_with_the_reason() =>
        (await SampleProcess.RunAsync("Gsm8k", "train", "--group-size", "1", "--output", _folder)).Failed("GroupSize is 1", "baseline");

    [Fact]
    public async Task Prompt_longer_than_the_limit_is_named() =>
        (await SampleProcess.RunAsync("Gsm8k", "train", "--max-prompt-tokens", "4", "--output", _folder)).Failed("MaxPromptTokens");

    [Fact]
    public async Task Prompts_over_the_limit_are_named_before_anything_is_written()
    {
        string file = Path.Combine(_folder, "train.jsonl"), output = Path.Combine(_folder, "run");
        // The third of four: no step of one prompt would have met it at once.
        File.WriteAllLines(file, Enumerable.Range(1, 4)
            .Select(row => $$"""{"question": "{{(row == 3 ? new string('7', 2000) : "1+1?")}}", "answer": "#### 2"}"""));
        string[] data = ["--dataset", file, "--prompts-per-step", "1", "--steps", "1", "--output", output];

        (await SampleProcess.RunAsync("Gsm8k", ["train", .. data, "--tensorboard", "true", "--record", "true"]))
            .Failed("1 of 4 prompts", "'gsm8k/train/3'", "MaxPromptTokens");
        (await SampleProcess.RunAsync("Gsm8k", ["train", "--eval-dataset", file, "--output", output]))
            .Failed("1 of 4 prompts", "'gsm8k/train/3'", "MaxPromptTokens");
        (await SampleProcess.RunAsync("Gsm8k", "eval", "--dataset", file)).Failed("1 of 4 prompts", "'gsm8k/train/3'");
        (await SampleProcess.RunAsync(
            "Gsm8k", "sft", "--model", SampleProcess.TinyModel, "--dataset", file, "--output", output, "--max-tokens", "1000"))
            .Failed("1 of 4 examples", "'gsm8k/train/3'", "MaxTokens");
        Assert.False(Directory.Exists(output));
    }

    // Each has the form owner/name of the hub, where it was looked for.
    [Theory]
    [InlineData("train", "--dataset", "data/missing.jsonl")]
    [InlineData("train", "--eval-dataset", "data/missing.parquet")]
    [InlineData("eval", "--dataset", "data/missing.json")]
    [InlineData("eval", "--eval-dataset", "data/test.csv")]
    [InlineData("train", "--dataset", "./missing")]
    [InlineData("train", "--dataset", "missing")]
    public async Task Missing_file_is_named_and_not_looked_for_on_the_hub(string command, string option, string file) =>
        (await OfflineAsync(command, option, file, "--output", Path.Combine(_folder, "run")))
            .Failed($"{option} is '{file}', but there is no such file in '{_folder}'");

    [Fact]
    public async Task Folder_in_place_of_a_file_is_named()
    {
        Directory.CreateDirectory(Path.Combine(_folder, "data", "gsm8k"));
        (await OfflineAsync("train", "--dataset", "data/gsm8k")).Failed("'data/gsm8k' is a folder. Name the file");
    }

    [Fact]
    public async Task Both_readings_of_a_missing_name_are_told()
    {
        Directory.CreateDirectory(Path.Combine(_folder, "models", "other"));
        File.WriteAllText(Path.Combine(_folder, "models", "file"), "");
        (await OfflineAsync("eval", "--model", "models/missing"))
            .Failed(
                "There is no folder 'models/missing' (the folder 'models' is here, but not that one in it), so it was taken for a hub id.",
                "network is off");
        (await OfflineAsync("eval", "--model", "models/file")).Failed("'models/file' is a file. Name the folder that holds it");
        (await OfflineAsync("train", "--dataset", "models/missing"))
            .Failed(
                "--dataset is 'models/missing'. There is no file of that name, so it was taken for a data set on the hub",
                "network is off");
    }

    private Task<SampleProcess.Result> OfflineAsync(params string[] arguments)
    {
        System.Diagnostics.ProcessStartInfo start = SampleProcess.StartOf("Gsm8k", arguments);
        start.WorkingDirectory = _folder;
        start.Environment["HF_HUB_OFFLINE"] = "1";
        return SampleProcess.RunAsync(start);
    }

    [Fact]
    public async Task Output_folder_that_cannot_be_written_is_named()
    {
        string file = Path.Combine(_folder, "file");
        File.WriteAllText(file, "in the way");
        (await SampleProcess.RunAsync("Gsm8k", "train", "--output", Path.Combine(file, "run"))).Failed("cannot be written");
    }

    [Fact]
    public async Task Unknown_preset_lists_the_presets() =>
        (await SampleProcess.RunAsync("Gsm8k", "train", "--preset", "ppo", "--output", _folder)).Failed("'ppo'", "dr-grpo");

    [Fact]
    public async Task Unknown_device_is_named() =>
        (await SampleProcess.RunAsync("Gsm8k", "train", "--device", "gpu", "--output", _folder)).Failed("gpu", "cuda");

    [NoCudaFact]
    public async Task Cuda_is_refused_with_the_way_to_get_it_when_there_is_none() =>
        (await SampleProcess.RunAsync("Gsm8k", "train", "--device", "cuda", "--output", _folder)).Failed("CUDA");
}

namespace Grpo.EndToEnd.Tests;

/// <summary>What a user gets wrong, and what the sample says.</summary>
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
        foreach (string file in Directory.GetFiles(SampleProcess.TinyModel).Where(file => !file.EndsWith(".safetensors", StringComparison.Ordinal)))
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

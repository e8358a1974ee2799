using System.Text.Json;
using Grpo.Testing;

namespace Grpo.EndToEnd.Tests;

/// <summary>The GSM8K sample from the outside.</summary>
[Trait("Speed", "Slow")]
public sealed class SampleTrainTests : IDisposable
{
    private readonly string _output = Directory.CreateTempSubdirectory("grpo-e2e-").FullName;

    public void Dispose() => Directory.Delete(_output, recursive: true);

    [Fact]
    public async Task Train_writes_metrics_completions_and_a_checkpoint_that_eval_and_generate_load()
    {
        SampleProcess.Result train = (await SampleProcess.RunAsync(
            "Gsm8k", "--steps", "2", "--prompts-per-step", "4", "--eval-count", "8", "--output", _output)).Succeeded();
        Assert.Contains("step    2/2", train.Output, StringComparison.Ordinal);
        Assert.Contains("Held-out accuracy:", train.Output, StringComparison.Ordinal);

        JsonElement[] metrics =
            [.. File.ReadLines(Path.Combine(_output, "metrics.jsonl")).Select(line => JsonDocument.Parse(line).RootElement)];
        Assert.Equal([1, 2], metrics.Select(line => line.GetProperty("step").GetInt64()));
        Assert.All(metrics, line => Assert.InRange(line.GetProperty("reward").GetDouble(), 0, 1.1));
        Assert.Equal(2 * 4 * 8, File.ReadLines(Path.Combine(_output, "completions.jsonl")).Count());

        string checkpoint = Assert.Single(Directory.GetDirectories(Path.Combine(_output, "checkpoints")));
        Assert.Equal("""{"metrics":2,"completions":64}""", File.ReadAllText(Path.Combine(checkpoint, "log_counts.json")));
        SampleProcess.Result eval = (await SampleProcess.RunAsync("Gsm8k", "eval", "--model", checkpoint, "--eval-count", "8")).Succeeded();
        Assert.Contains("accuracy", eval.Output, StringComparison.Ordinal);
        SampleProcess.Result generate = (await SampleProcess.RunAsync(
            "Gsm8k", "generate", "Anna has 3 pens. Ben gives Anna 4 more pens. How many pens does Anna have now?", "--model", checkpoint,
            "--max-completion-tokens", "16")).Succeeded();
        Assert.False(string.IsNullOrWhiteSpace(generate.Output));
    }

    [Fact]
    public async Task Train_with_adapters_writes_them_alone_and_eval_and_generate_load_them_with_their_base()
    {
        SampleProcess.Result train = (await SampleProcess.RunAsync(
            "Gsm8k", "--lora-rank", "4", "--lora-alpha", "8", "--kl-coefficient", "0.04", "--steps", "2", "--prompts-per-step", "2",
            "--eval-count", "4",
            "--max-completion-tokens", "40", "--output", _output)).Succeeded();
        // Per layer r·(in + out): q and o 2·256, k and v 2·192, gate, up and down 3·512; 4 layers, r = 4.
        Assert.Contains("38,912", train.Output, StringComparison.Ordinal);

        string checkpoint = Assert.Single(Directory.GetDirectories(Path.Combine(_output, "checkpoints")));
        Assert.True(File.Exists(Path.Combine(checkpoint, "adapter_model.safetensors")));
        Assert.False(File.Exists(Path.Combine(checkpoint, "model.safetensors")));
        SampleProcess.Result eval = (await SampleProcess.RunAsync(
            "Gsm8k", "eval", "--model", checkpoint, "--eval-count", "4", "--max-completion-tokens", "40")).Succeeded();
        Assert.Contains("accuracy", eval.Output, StringComparison.Ordinal);
        (await SampleProcess.RunAsync("Gsm8k", "generate", "How many?", "--model", checkpoint, "--max-completion-tokens", "4")).Succeeded();
        (await SampleProcess.RunAsync("Gsm8k", "--lora-alpha", "8")).Failed("--lora-alpha is given without --lora-rank");
    }

    [Fact]
    public async Task Train_prints_its_plan_and_stops_when_asked_to_explain()
    {
        string output = Path.Combine(_output, "run");
        SampleProcess.Result result = (await SampleProcess.RunAsync("Gsm8k", "--explain", "true", "--group-size", "4", "--output", output))
            .Succeeded();

        Assert.StartsWith(
            "step          16 prompts x 4 completions = 64, each of at most 128 tokens: 8,192 tokens in all", result.Output,
            StringComparison.Ordinal);
        Assert.DoesNotContain("Training", result.Output, StringComparison.Ordinal);
        Assert.False(Directory.Exists(output));
    }

    [Fact]
    public async Task Train_takes_the_options_that_save_memory()
    {
        string[] settings =
        [
            "--freeze-embeddings", "true", "--bfloat16", "true", "--optimizer-moments", "Int8", "--kl-coefficient", "0.04",
            "--reference-device", "cpu", "--warmup-steps", "0", "--steps", "2", "--prompts-per-step", "2", "--eval-count", "4",
            "--max-completion-tokens", "40", "--record", "true", "--checkpoint-every", "1",
        ];
        SampleProcess.Result train = (await SampleProcess.RunAsync("Gsm8k", [.. settings, "--output", _output])).Succeeded();
        Assert.Contains(", in 8 bits", train.Output, StringComparison.Ordinal);
        Assert.Matches("trained +[0-9,]+ parameters, 65,536 frozen", train.Output); // 512 tokens of 128 numbers

        // A replay loads the model as the run had it; else the moments, which its checkpoint has for the trained weights
        // alone, would be refused.
        SampleProcess.Result replay = (await SampleProcess.RunAsync(
            "Gsm8k", "replay", "--output", _output, "--step", "2", "--tolerance", "0")).Succeeded();
        Assert.Contains("Nothing differs.", replay.Output, StringComparison.Ordinal);
        (await SampleProcess.RunAsync("Gsm8k", [.. settings, "--lora-rank", "4", "--output", _output + "-lora"]))
            .Failed("ReferenceDevice is 'cpu'");
    }

    [Fact]
    public async Task Train_takes_the_method_of_a_preset_and_the_sizes_that_fit_the_tiny_model()
    {
        SampleProcess.Result result = (await SampleProcess.RunAsync("Gsm8k", "--explain", "true", "--preset", "dapo")).Succeeded();

        Assert.StartsWith(
            "step          16 prompts x 8 completions = 128, each of at most 128 tokens", result.Output, StringComparison.Ordinal);
        string[] texts = ["clipped(Low=0.2, High=0.28)", "replaced in up to 10 rounds", "learning rate 2E-05", "weight decay 0.1"];
        foreach (string text in texts)
        {
            Assert.Contains(text, result.Output, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Train_continues_exactly_when_resumed()
    {
        string whole = Path.Combine(_output, "whole"), halves = Path.Combine(_output, "halves");
        string[] settings = ["--prompts-per-step", "2", "--eval-count", "4", "--max-completion-tokens", "40"];
        (await SampleProcess.RunAsync("Gsm8k", ["--steps", "2", "--output", whole, .. settings])).Succeeded();
        (await SampleProcess.RunAsync("Gsm8k", ["--steps", "1", "--output", halves, .. settings])).Succeeded();
        (await SampleProcess.RunAsync("Gsm8k", ["--steps", "2", "--output", halves, .. settings])).Succeeded();

        Assert.Equal(Metrics(whole), Metrics(halves));
        string name = Path.Combine("checkpoints", "checkpoint-000002");
        foreach (string file in new[] { "model.safetensors", "optimizer.safetensors" })
        {
            Assert.Equal(File.ReadAllBytes(Path.Combine(whole, name, file)), File.ReadAllBytes(Path.Combine(halves, name, file)));
        }

        // Neither another run nor a new one goes into the folder of this one.
        (await SampleProcess.RunAsync("Gsm8k", ["--steps", "3", "--output", halves, "--learning-rate", "1e-3", .. settings]))
            .Failed("GrpoOptions.LearningRate was 2E-05 and is 0.001", "AllowOptionChanges");
        (await SampleProcess.RunAsync("Gsm8k", ["--steps", "3", "--output", halves, "--resume", "false", .. settings]))
            .Failed($"'{halves}' holds a run already", "--output");
        Assert.Equal(Metrics(whole), Metrics(halves));
    }

    [UnixFact]
    public async Task Train_writes_a_checkpoint_and_exits_with_130_when_interrupted()
    {
        using SignaledSample sample = SignaledSample.Start(
            "Gsm8k", "--steps", "1000", "--prompts-per-step", "2", "--eval-count", "4", "--output", _output);
        Assert.True(await sample.HasSaidAsync("step    1/"), sample.Output);
        sample.Signal(Signals.Interrupt);

        Assert.Equal(130, await sample.EndAsync());
        Assert.Contains("Stopped after", sample.Output, StringComparison.Ordinal);
        string checkpoint = Assert.Single(Directory.GetDirectories(Path.Combine(_output, "checkpoints")));
        Assert.True(File.Exists(Path.Combine(checkpoint, "model.safetensors")));
    }

    [SharedFact]
    public async Task Train_runs_real_gsm8k_with_the_tiny_model()
    {
        string train = SharedData.Path("data", "gsm8k", "train.jsonl"), test = SharedData.Path("data", "gsm8k", "test.jsonl");
        (await SampleProcess.RunAsync(
            "Gsm8k", "train", "--dataset", train, "--eval-dataset", test, "--steps", "2", "--prompts-per-step", "2", "--group-size", "4",
            "--eval-count", "4", "--max-completion-tokens", "48", "--preset", "grpo", "--output", _output)).Succeeded();

        Assert.Equal(2, File.ReadLines(Path.Combine(_output, "metrics.jsonl")).Count());
        string checkpoint = Assert.Single(Directory.GetDirectories(Path.Combine(_output, "checkpoints")));
        (await SampleProcess.RunAsync(
            "Gsm8k", "eval", "--model", checkpoint, "--eval-dataset", test, "--eval-count", "4", "--max-completion-tokens", "48"))
            .Succeeded();
    }

    [Fact]
    public async Task Init_makes_a_random_checkpoint_that_eval_loads()
    {
        (await SampleProcess.RunAsync("Gsm8k", "init", "--shape", "tiny", "--output", _output)).Succeeded();
        SampleProcess.Result eval = (await SampleProcess.RunAsync(
            "Gsm8k", "eval", "--model", _output, "--eval-count", "4", "--max-completion-tokens", "16")).Succeeded();
        Assert.Contains("Truncated", eval.Output, StringComparison.Ordinal); // random weights do not stop by themselves
    }

    [Fact]
    public async Task CustomReward_sample_trains_with_its_own_reward_and_sampler()
    {
        SampleProcess.Result result = (await SampleProcess.RunAsync("CustomReward", "2")).Succeeded();
        Assert.Equal(2, result.Output.Split('\n').Count(line => line.Contains("reward", StringComparison.Ordinal)));
    }

    private static string[] Metrics(string folder) =>
        [.. File.ReadLines(Path.Combine(folder, "metrics.jsonl"))
            .Select(line => string.Join(' ', JsonDocument.Parse(line).RootElement.EnumerateObject()
                .Where(metric => !metric.Name.StartsWith("time/", StringComparison.Ordinal)
                    && !metric.Name.StartsWith("eval/", StringComparison.Ordinal)).Select(metric => metric.ToString())))];
}

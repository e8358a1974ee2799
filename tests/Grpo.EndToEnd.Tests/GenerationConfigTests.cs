using System.Text.Json.Nodes;
using Grpo.Models.Qwen;
using Grpo.Testing;

namespace Grpo.EndToEnd.Tests;

public sealed class GenerationConfigTests
{
    [Fact]
    public async Task SampleAsync_samples_as_asked_when_the_checkpoint_recommends_filters()
    {
        // What Qwen2.5's own file says. Filters that a checkpoint switched on would make samples of another distribution
        // than the one trained.
        using var folder = new TemporaryFolder();
        foreach (string file in Directory.EnumerateFiles(SampleProcess.TinyModel))
        {
            File.Copy(file, folder[Path.GetFileName(file)]);
        }

        IReadOnlyList<RolloutGroup> without = await SampleAsync(folder.Path);
        JsonNode configuration = File.Exists(folder["generation_config.json"])
            ? JsonNode.Parse(File.ReadAllText(folder["generation_config.json"]))!
            : new JsonObject();
        foreach ((string name, double value) in new[] { ("repetition_penalty", 1.1), ("temperature", 0.7), ("top_p", 0.8), ("top_k", 20) })
        {
            configuration[name] = value;
        }

        configuration["do_sample"] = true;
        File.WriteAllText(folder["generation_config.json"], configuration.ToJsonString());
        IReadOnlyList<RolloutGroup> with = await SampleAsync(folder.Path);

        Assert.Equal(
            without[0].Completions.Select(completion => completion.TokenIds),
            with[0].Completions.Select(completion => completion.TokenIds));
        Assert.Equal(
            without[0].Completions.Select(completion => completion.LogProbs!),
            with[0].Completions.Select(completion => completion.LogProbs!));
    }

    private static async Task<IReadOnlyList<RolloutGroup>> SampleAsync(string folder)
    {
        using QwenPretrained qwen = QwenPretrained.Load(folder);
        var sampler = new PolicyGroupSampler(qwen.Tokenizer, qwen.ChatTemplate);
        return await sampler.SampleAsync(qwen.Policy, new RolloutRequest
        {
            Prompts = [Prompt.Create("p", "Tom has 3 boxes of 12 eggs. How many eggs?")],
            GroupSize = 8,
            Sampling = new SamplingOptions { MaxCompletionTokens = 40, MaxPromptTokens = 200 },
            Seed = 5,
        });
    }
}

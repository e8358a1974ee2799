using Grpo.Modeling;
using Grpo.Models.Qwen;
using Grpo.Rollouts;
using Grpo.Testing;
using Microsoft.Extensions.AI;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Export.Tests;

/// <summary>Loads exported files in llama.cpp and compares what it computes with the policy.</summary>
public sealed class GgufLlamaTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    [LlamaFact]
    public async Task Greedy_tokens_equal_the_policys_when_F32()
    {
        using QwenPretrained qwen = QwenPretrained.Load(ExportModels.Tiny);
        using LlamaCpp llama = await ExportAsync(ExportType.Float32);
        int[] prompt = [.. qwen.Tokenizer.Encode("Sam has 50 eggs. Ann gives Sam 5 more eggs.")];
        Assert.Equal(ExportModels.Greedy(qwen.Policy.Model, prompt, 64), llama.Greedy(prompt, 64));
    }

    private async Task<LlamaCpp> ExportAsync(ExportType type)
    {
        ExportResult result = await ModelExport.SaveAsync(
            ExportModels.Tiny, _folder["tiny.gguf"], new ExportOptions { Format = ExportFormat.Gguf, Type = type });
        return new LlamaCpp(result.Path);
    }

    public void Dispose() => _folder.Dispose();
}

using Grpo.Models.Qwen;
using LLama;
using LLama.Common;
using LLama.Sampling;

namespace Grpo.Snippets;

/// <summary>Deploying a trained model: the export, and the model in LLamaSharp.</summary>
public static class DeployedModel
{
    public static async Task ExportAsync(CancellationToken cancellationToken)
    {
        // From a folder: a checkpoint of a run. An adapter's checkpoint is merged.
        await ModelExport.SaveAsync(
            "runs/first/checkpoints/checkpoint-000050", "export/model", cancellationToken: cancellationToken);
        await ModelExport.SaveAsync(
            "runs/first/checkpoints/checkpoint-000050", "export/model.gguf",
            new ExportOptions { Format = ExportFormat.Gguf, Type = ExportType.Q8 }, cancellationToken);
    }

    public static void Export(QwenPretrained qwen)
    {
        // From memory, after training. The policy is not changed.
        ModelExport.Save(qwen, "export/model", new ExportOptions { Type = ExportType.BFloat16, Overwrite = true });
    }

    public static async IAsyncEnumerable<string> AskAsync(string path, string question)
    {
        var parameters = new ModelParams(path) { ContextSize = 2048 };
        using LLamaWeights weights = LLamaWeights.LoadFromFile(parameters);
        var executor = new StatelessExecutor(weights, parameters) { ApplyTemplate = true, SystemMessage = "Solve step by step." };
        var greedy = new InferenceParams { MaxTokens = 128, SamplingPipeline = new GreedySamplingPipeline() };
        await foreach (string piece in executor.InferAsync(question, greedy))
        {
            yield return piece;
        }
    }
}

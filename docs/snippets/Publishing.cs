using Grpo.Hub;
using Grpo.Training;

namespace Grpo.Snippets;

/// <summary>The upload of a trained model with its card, as docs/publishing.md shows it.</summary>
internal static class Publishing
{
    public static async Task PublishAsync(string folder)
    {
        ModelCard card = await ModelCard.FromCheckpointAsync(folder, "tiny-word-problems");
        card.License = "apache-2.0";
        card.BaseModel = "Qwen/Qwen2.5-0.5B-Instruct";
        card.Datasets = ["openai/gsm8k"];
        card.Write(folder);

        HubCommit commit = await HubUpload.SendAsync(folder, "your-name/tiny-word-problems", new HubUploadOptions { Private = true });
        Console.WriteLine(commit.Address);
    }
}

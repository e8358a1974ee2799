using Grpo.Models.Qwen;

namespace Grpo.Samples.Gsm8k;

/// <summary>Loads the model that the settings name, with progress while it is fetched.</summary>
internal static class ModelLoader
{
    public static Task<QwenPretrained> LoadAsync(Settings settings, bool withReference, CancellationToken cancellationToken)
    {
        string model = settings.Run.Model is { Length: > 0 } given ? given : Defaults.TinyModel;
        if (model == Defaults.TinyModel && (settings.Run.Dataset ?? settings.Run.EvalDataset) is { Length: > 0 })
        {
            Console.WriteLine("The tiny model has seen nothing but generated problems of its own few templates: of real ones it solves next to none. " +
                "Use it to try out a run; to see one learn, give a real model with --model.");
        }

        return QwenPretrained.LoadAsync(
            model, new QwenLoadOptions { Device = settings.Run.Device, WithReference = withReference, Progress = new DownloadProgress() }, cancellationToken);
    }
}

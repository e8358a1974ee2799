using Grpo.Models.Qwen;

namespace Grpo.Samples.Gsm8k;

/// <summary>Loads the model that the settings name, with progress while it is fetched.</summary>
internal static class ModelLoader
{
    public static Task<QwenPretrained> LoadAsync(Settings settings, bool withReference, CancellationToken cancellationToken)
    {
        string model = settings.Run.Model is { Length: > 0 } given ? given : Defaults.TinyModel;
        var options = new QwenLoadOptions
        {
            Device = settings.Run.Device,
            WithReference = withReference,
            GradientCheckpointing = settings.Run.GradientCheckpointing,
            Progress = new DownloadProgress(),
        };
        return QwenPretrained.LoadAsync(model, options, cancellationToken);
    }
}

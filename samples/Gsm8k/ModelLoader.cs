using Grpo.Models.Qwen;

namespace Grpo.Samples.Gsm8k;

/// <summary>Loads the model that the settings name and prints the progress of downloads. The model may be an adapter's folder.</summary>
internal static class ModelLoader
{
    public static Task<QwenPretrained> LoadAsync(Settings settings, CancellationToken cancellationToken) =>
        LoadAsync(settings, new QwenLoadOptions(), cancellationToken);

    /// <summary>Loads the model for training, with its adapters and the reference model.</summary>
    public static Task<QwenPretrained> LoadForTrainingAsync(Settings settings, bool withReference, CancellationToken cancellationToken)
    {
        var options = new QwenLoadOptions
        {
            WithReference = withReference,
            ReferenceDevice = settings.Run.ReferenceDevice is { Length: > 0 } device ? device : null,
            FreezeEmbeddings = settings.Run.FreezeEmbeddings,
            Lora = settings.Run.ToLora(),
        };
        return LoadAsync(settings, options, cancellationToken);
    }

    private static Task<QwenPretrained> LoadAsync(Settings settings, QwenLoadOptions options, CancellationToken cancellationToken)
    {
        string model = settings.Run.Model is { Length: > 0 } given ? given : Defaults.TinyModel;
        if (model == Defaults.TinyModel && (settings.Run.Dataset ?? settings.Run.EvalDataset) is { Length: > 0 })
        {
            Console.WriteLine(
                "The tiny model has seen nothing but generated problems of its own few templates: of real ones it solves next to none. "
                + "Use it to try out a run; to see one learn, give a real model with --model.");
        }

        options = settings.Run.WithTemplate(options) with
        {
            Device = settings.Run.Device,
            GradientCheckpointing = settings.Run.GradientCheckpointing,
            ComputeType = settings.Run.ToComputeType(),
            Int8Rollouts = settings.Run.Int8Rollouts,
            FourBitBase = settings.Run.FourBitBase,
            Progress = new DownloadProgress(),
            Logger = new ConsoleWarnings<QwenPretrained>(),
        };
        return QwenPretrained.LoadAsync(model, options, cancellationToken);
    }
}

using Grpo.Modeling;
using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Lora;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Pretrained;
using Grpo.Models.Qwen.Text;
using Grpo.Models.Qwen.Weights;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>
/// A pretrained model with everything that a training run needs: policy, reference model, tokenizer and chat template. Its family is
/// Qwen2, Qwen3 or Llama.
/// It owns the models.
/// </summary>
public sealed class QwenPretrained : IDisposable
{
    private QwenPretrained(
        QwenPolicy policy, IReferenceModel? reference, QwenTokenizer tokenizer, CheckpointTemplate template, string directory)
    {
        Policy = policy;
        Reference = reference;
        Tokenizer = tokenizer;
        ChatTemplate = template.Template;
        IsChatTemplateAssumed = template.IsAssumed;
        Directory = directory;
        CheckpointTemplate = template;
    }

    /// <summary>
    /// The policy to train. Its <see cref="QwenPolicy.Save"/> also writes the tokenizer and the chat template, or with an adapter the name
    /// of the base. So the saved folder loads again unchanged.
    /// </summary>
    public QwenPolicy Policy { get; }

    /// <summary>
    /// The model before training: a frozen copy, or with an adapter the base without it. Null unless
    /// <see cref="QwenLoadOptions.WithReference"/> was set.
    /// </summary>
    public IReferenceModel? Reference { get; }

    /// <summary>The tokenizer. Its end tokens include the token with which <see cref="ChatTemplate"/> closes a message.</summary>
    public QwenTokenizer Tokenizer { get; }

    /// <summary>
    /// The chat template: <see cref="QwenLoadOptions.ChatTemplate"/> if set, else the checkpoint's own, else Qwen2.5's. An adapter's own
    /// template takes precedence over that of its base.
    /// </summary>
    /// <remarks>
    /// A template of your own is code and cannot be saved. A folder that was saved with one loads only if you pass the template again.
    /// </remarks>
    public IChatTemplate ChatTemplate { get; }

    /// <summary>True if neither the options nor the checkpoint name a chat template, so that Qwen2.5's is used.</summary>
    public bool IsChatTemplateAssumed { get; }

    /// <summary>The chat template with its text, for saving.</summary>
    internal CheckpointTemplate CheckpointTemplate { get; }

    /// <summary>The folder that the model was read from; with an adapter, the folder of its base.</summary>
    public string Directory { get; }

    /// <summary>
    /// Loads a model from a folder or the hub and blocks until it is loaded. <see cref="LoadAsync"/> does not block and can be canceled.
    /// </summary>
    /// <param name="folderOrHubId">An existing folder, or an id such as Qwen/Qwen2.5-1.5B-Instruct.</param>
    /// <param name="device">The device of the weights: cpu, cuda or cuda:n.</param>
    /// <param name="withReference">True to keep a frozen copy for the KL term.</param>
    public static QwenPretrained Load(string folderOrHubId, string device = "cpu", bool withReference = false) =>
        Load(folderOrHubId, new QwenLoadOptions { Device = device, WithReference = withReference });

    /// <summary>Loads a model from a folder or the hub with all options, such as adapters, and blocks until it is loaded.</summary>
    /// <param name="folderOrHubId">An existing folder, or an id such as Qwen/Qwen2.5-1.5B-Instruct.</param>
    /// <param name="options">The options for loading.</param>
    public static QwenPretrained Load(string folderOrHubId, QwenLoadOptions options) =>
        LoadAsync(folderOrHubId, options).GetAwaiter().GetResult();

    /// <summary>
    /// Loads a model from a folder or the hub. Files from the hub are first downloaded into the cache of Python's huggingface_hub.
    /// </summary>
    /// <param name="folderOrHubId">
    /// An existing folder, or an id such as Qwen/Qwen2.5-1.5B-Instruct. The folder may be that of an adapter whose
    /// configuration names its base.
    /// </param>
    /// <param name="options">The options for loading. Null means the defaults.</param>
    /// <param name="cancellationToken">Cancels the download. The next call continues it.</param>
    /// <exception cref="ArgumentException">The options contradict each other, or an option of the adapter is out of range.</exception>
    /// <exception cref="DirectoryNotFoundException">The text is neither a folder nor a hub id.</exception>
    /// <exception cref="FileNotFoundException">The folder lacks config.json, the weights or the tokenizer.</exception>
    /// <exception cref="InvalidDataException">
    /// A file is damaged or of another model; the message lists what does not fit. Or the chat template has a construct that is not
    /// supported, or one of its markers is not a token of the vocabulary.
    /// </exception>
    /// <exception cref="InvalidOperationException">
    /// The weights, or those of the reference, do not fit into the memory of their device.
    /// </exception>
    public static async Task<QwenPretrained> LoadAsync(
        string folderOrHubId, QwenLoadOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folderOrHubId);
        options ??= new QwenLoadOptions();
        Device device = TorchBackend.ParseDevice(options.Device);
        Device? referenceDevice = options is { WithReference: true, ReferenceDevice: { } other } ? TorchBackend.ParseDevice(other) : null;
        PretrainedSource source = PretrainedSource.From(folderOrHubId, options);
        string directory = await source.ResolveAsync(options.Progress, cancellationToken).ConfigureAwait(false);
        cancellationToken.ThrowIfCancellationRequested();

        TokenizerFiles files = TokenizerFiles.Read(directory);
        var template = CheckpointTemplate.Choose(
            options.ChatTemplate, options.TemplateOptions, files,
            source.Adapter is { } folder ? TokenizerFiles.ReadTemplates(folder) : null);
        QwenTokenizer tokenizer = template.Fit(QwenTokenizer.Create(files));
        ScalarType type = options.KeepStoredType ? QwenWeights.StoredType(DecoderConfig.Load(directory)) : ScalarType.Float32;
        CausalLM.RequireComputeType(options.ComputeType ?? type, type);
        CausalLM model = AllocationErrors.Explain(
            () => QwenWeights.Read(directory, device, type, options.FourBitBase),
            $"The weights of the model in '{directory}' do not fit into the memory of {device}. "
            + "Take a device with more memory, or a smaller model.");
        model.GradientCheckpointing = options.GradientCheckpointing;
        model.ComputeType = options.ComputeType ?? type;
        var policy = new QwenPolicy(model, tokenizer.Save) { Int8Rollouts = options.Int8Rollouts, SaveTemplate = template.Save };
        try
        {
            RequireRoom(model.Config, tokenizer, directory);
            if (source.Adapter is { } adapter)
            {
                LoraAdapterFiles.AddTo(model, adapter, options.Lora);
                if (!options.FourBitBase && options.Logger is { } logger && LoraAdapterFiles.HasFourBitBase(adapter))
                {
                    logger.OtherBase(adapter);
                }
            }
            else if (options.Lora is { } lora)
            {
                model.AddAdapter(lora, source.BaseModel);
            }

            if (options.FreezeEmbeddings)
            {
                model.FreezeEmbeddings();
            }

            if (policy.IsSlow)
            {
                options.Logger?.SlowType(model.ComputeType, device);
            }

            template.Report(options.Logger, folderOrHubId);
            if (source.Adapter is null && options.Lora is not null)
            {
                LoraBaseLocation.Report(source.BaseModel, options.Logger);
            }

            return new QwenPretrained(
                policy, options.WithReference ? ReferenceOf(policy, referenceDevice) : null, tokenizer, template, directory);
        }
        catch
        {
            policy.Dispose();
            throw;
        }
    }

    /// <summary>Frees the models.</summary>
    public void Dispose()
    {
        (Reference as IDisposable)?.Dispose();
        Policy.Dispose();
    }

    private static IReferenceModel ReferenceOf(QwenPolicy policy, Device? device) =>
        policy.Model.Adapter is not null
            ? new AdapterOffReference(policy)
            : AllocationErrors.Explain(
                () => QwenReferenceModel.CopyOf(policy, device),
                $"The reference model, a copy of the weights, does not fit into the memory of {device ?? policy.Model.Device}. "
                + "Set ReferenceDevice to cpu, train an adapter, whose reference needs no copy, or train without a KL term.");

    // The embedding may be larger than the vocabulary (Qwen2.5 pads it to a multiple of 128), but never smaller.
    internal static void RequireRoom(DecoderConfig config, QwenTokenizer tokenizer, string directory)
    {
        if (tokenizer.VocabularySize > config.VocabularySize)
        {
            throw new InvalidDataException(
                $"The tokenizer in '{directory}' has {tokenizer.VocabularySize} tokens but the model has {config.VocabularySize} "
                + "embeddings: they do not belong together.");
        }
    }
}

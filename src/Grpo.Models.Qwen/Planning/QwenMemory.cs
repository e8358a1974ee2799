using Grpo.Modeling;
using Grpo.Optimization;
using Grpo.Planning;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>How much memory a Qwen2 model needs, from its shape alone.</summary>
/// <param name="Config">The shape.</param>
/// <remarks>
/// Counts what the code makes and what autograd saves, so it changes with them. Buffers inside of libtorch's operators are not counted: they
/// have a fixed size and are part of <see cref="MemoryPlanner.ProcessBytes"/>.
/// </remarks>
public sealed record QwenMemory(Qwen2Config Config) : IMemoryModel
{
    private const int Single = sizeof(float);

    private readonly ScalarType? _computeType;

    /// <summary>Type of the weights that are not adapters.</summary>
    /// <value>Default float32.</value>
    public ScalarType WeightType { get; init; } = ScalarType.Float32;

    /// <summary>As <see cref="Qwen2ForCausalLM.ComputeType"/>.</summary>
    /// <value>Default <see cref="WeightType"/>.</value>
    public ScalarType ComputeType { get => _computeType ?? WeightType; init => _computeType = value; }

    /// <summary>The adapters that are trained in place of the weights; null: the weights are trained.</summary>
    /// <value>Default null.</value>
    public LoraOptions? Lora { get; init; }

    /// <summary>As <see cref="Qwen2ForCausalLM.FreezeEmbeddings"/>.</summary>
    /// <value>Default false.</value>
    public bool FreezeEmbeddings { get; init; }

    /// <summary>As <see cref="Qwen2ForCausalLM.GradientCheckpointing"/>.</summary>
    /// <value>Default false.</value>
    public bool GradientCheckpointing { get; init; }

    /// <summary>As <see cref="QwenPolicy.Int8Rollouts"/>.</summary>
    /// <value>Default false.</value>
    public bool Int8Rollouts { get; init; }

    /// <inheritdoc/>
    public bool SharesPrompts => true;

    internal Qwen2Counts Counts => new(Config);

    internal int ComputeBytes => BytesOf(ComputeType);

    internal bool IsMixed => ComputeType != WeightType;

    /// <summary>
    /// What loading a model would need. Of a hub id only <c>config.json</c> and what holds the chat template are fetched, and of a folder
    /// no weights are read.
    /// </summary>
    /// <remarks>
    /// A chat template or a vocabulary that loading would refuse is refused here too, and one that is assumed is logged. A folder that
    /// holds nothing but a <c>config.json</c> says nothing of either.
    /// </remarks>
    /// <param name="folderOrHubId">As in <see cref="QwenPretrained.LoadAsync"/>.</param>
    /// <param name="options">Those of loading; device and reference are not read. Null: the defaults.</param>
    /// <param name="cancellationToken">Ends the download.</param>
    /// <exception cref="ArgumentException">The options contradict each other, or an option of the adapter is out of range.</exception>
    /// <exception cref="DirectoryNotFoundException">It is neither a folder nor a hub id.</exception>
    /// <exception cref="FileNotFoundException">The folder lacks <c>config.json</c>.</exception>
    /// <exception cref="InvalidDataException">
    /// A configuration is damaged or not of a supported model, or the chat template is not known.
    /// </exception>
    /// <exception cref="HubException">The hub is unreachable, or refuses.</exception>
    public static async Task<QwenMemory> OfAsync(string folderOrHubId, QwenLoadOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folderOrHubId);
        options ??= new QwenLoadOptions();
        PretrainedSource source = PretrainedSource.Of(folderOrHubId, options);
        string directory = await source.ResolveConfigAsync(options.Progress, cancellationToken).ConfigureAwait(false);
        Qwen2Config config = Qwen2Config.Load(directory);
        ScalarType type = options.KeepStoredType ? QwenWeights.StoredType(config) : ScalarType.Float32;
        Qwen2ForCausalLM.RequireComputeType(options.ComputeType ?? type, type);
        CheckpointTemplate.CheckFolder(directory, source.Adapter, folderOrHubId, options);
        return new QwenMemory(config)
        {
            WeightType = type,
            ComputeType = options.ComputeType ?? type,
            Lora = source.Adapter is { } adapter ? LoraConfigFile.Load(adapter).Options : options.Lora,
            FreezeEmbeddings = options.FreezeEmbeddings,
            GradientCheckpointing = options.GradientCheckpointing,
            Int8Rollouts = options.Int8Rollouts,
        };
    }

    /// <inheritdoc/>
    public MemoryNeeds NeedsOf(MemorySizes sizes)
    {
        ArgumentNullException.ThrowIfNull(sizes);
        PassTokens tokens = PassTokens.OfMicroBatch(sizes);
        ScalarType decodingType = DecodingType(sizes.Device);
        long weights = Counts.All * BytesOf(WeightType), adapters = Lora is null ? 0 : Counts.Adapters(Lora);
        long trained = Lora is null ? Counts.All - (FreezeEmbeddings ? Counts.Embedding : 0) : adapters;
        var update = new UpdateMemory(this, tokens, LogitBytes(tokens, sizes.WithEntropies, withGradients: true), Single * trained);
        return new MemoryNeeds
        {
            Weights = weights + (Single * adapters),
            TrainedParameters = trained,
            Reference = Lora is null ? Counts.All * ComputeBytes : 0,
            Cache = 2 * Config.LayerCount * sizes.DecodedSequences * Counts.KeyWidth * sizes.CachedLength * BytesOf(decodingType),
            Decoding = (this with { ComputeType = decodingType }).Decoding(sizes),
            Activations = update.Activations,
            Logits = update.Logits,
            Training = sizes.HasOtherMicroBatches ? Math.Max(update.First, update.Later) : update.First,
            SmallBlocks = update.SmallBlocks,
            Scoring = sizes.WithReference ? Scoring(tokens) : 0,
        };
    }

    /// <inheritdoc/>
    public IReadOnlyList<LeanerModel> Leaner()
    {
        var leaner = new List<LeanerModel>();
        QwenMemory checkpointed = this with { GradientCheckpointing = true };
        const string Checkpointing = "gradient checkpointing", Rounded = "bfloat16 for products and activations";
        if (!GradientCheckpointing)
        {
            leaner.Add(new($"{Checkpointing} (about a third more time in the update)", checkpointed));
        }

        if (WeightType == ScalarType.Float32 && !IsMixed && Lora is null)
        {
            leaner.Add(new(
                GradientCheckpointing ? Rounded : $"{Checkpointing}, {Rounded}",
                this with { GradientCheckpointing = true, ComputeType = ScalarType.BFloat16 }));
        }

        string adapters = "";
        if (Lora is null)
        {
            var lora = new LoraOptions();
            adapters = FormattableString.Invariant($"adapters of rank {lora.Rank} in place of all weights");
            leaner.Add(new(adapters, this with { Lora = lora }));
            checkpointed = checkpointed with { Lora = lora };
            if (!GradientCheckpointing)
            {
                leaner.Add(new($"{adapters}, {Checkpointing}", checkpointed));
            }
        }

        if (WeightType == ScalarType.Float32 && QwenWeights.StoredType(Config) is var stored && stored != ScalarType.Float32)
        {
            string[] all = [adapters, GradientCheckpointing ? "" : Checkpointing, "the frozen base in the 16 bits that it is stored in"];
            leaner.Add(new(string.Join(", ", all.Where(words => words.Length > 0)), checkpointed with { WeightType = stored, ComputeType = stored }));
        }

        return leaner;
    }

    // Prompts are run together at the beginning; their logits are repeated for the group. Then a token a row. What a CPU's decoder keeps besides,
    // a few numbers per row and per position, is not counted.
    private long Decoding(MemorySizes sizes)
    {
        PassTokens prompts = PassTokens.OfPrompts(sizes);
        long logits = (sizes.DecodedPrompts + sizes.DecodedSequences) * Config.VocabularySize * ComputeBytes;
        long prefill = Math.Max(new LayerMemory(this, prompts).Forward, (2 * prompts.Count * Config.HiddenSize * ComputeBytes) + logits);
        long rounded = Int8Rollouts ? (Config.LayerCount * Counts.LayerProjections) + Counts.Embedding : 0;
        long copy = IsMixed ? Counts.All * ComputeBytes : 0;
        return prefill + rounded + copy;
    }

    // As Qwen2DecodingSession: in float32 on a CPU, elsewhere from a copy.
    private ScalarType DecodingType(DeviceType device) => device == DeviceType.CPU ? WeightType : ComputeType;

    private static int BytesOf(ScalarType type) => type switch
    {
        ScalarType.Float16 or ScalarType.BFloat16 => 2,
        ScalarType.Float32 => Single,
        ScalarType.Float64 => 2 * Single,
        _ => throw new NotSupportedException($"Weights are Float32, BFloat16, Float16 or Float64, not {type}."),
    };

    private long Scoring(PassTokens tokens)
    {
        long hidden = ((2 * tokens.Count) + tokens.Predicted) * Config.HiddenSize * ComputeBytes;
        return Math.Max(new LayerMemory(this, tokens).Forward, hidden + LogitBytes(tokens, withEntropies: false, withGradients: false));
    }

    private long LogitBytes(PassTokens tokens, bool withEntropies, bool withGradients) =>
        TokenLogProbs.ScratchBytes(tokens.Predicted, Config.HiddenSize, Config.VocabularySize, ComputeType, WeightType, withEntropies, withGradients);
}

using Grpo.Hub;
using Grpo.Modeling;
using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Lora;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Quantization;
using Grpo.Models.Qwen.Text;
using Grpo.Models.Qwen.Weights;
using Grpo.Optimization;
using Grpo.Planning;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Planning;

/// <summary>A memory model of the decoder: computes the memory that a run needs from the model's configuration alone.</summary>
/// <param name="Config">The configuration of the model.</param>
/// <remarks>
/// It counts the tensors that the code creates and that autograd saves. Buffers inside libtorch's operators have a fixed size and are part
/// of <see cref="MemoryPlanner.ProcessBytes"/>.
/// </remarks>
public sealed record QwenMemory(DecoderConfig Config) : IMemoryModel
{
    private const int Single = sizeof(float);

    private readonly ScalarType? _computeType;

    /// <summary>The type of the weights, excluding adapters.</summary>
    /// <value>Default float32.</value>
    public ScalarType WeightType { get; init; } = ScalarType.Float32;

    /// <summary>The type of the hidden states and matrix products (<see cref="CausalLM.ComputeType"/>).</summary>
    /// <value>Default <see cref="WeightType"/>.</value>
    public ScalarType ComputeType { get => _computeType ?? WeightType; init => _computeType = value; }

    /// <summary>The adapters that are trained instead of the weights; null if the weights are trained.</summary>
    /// <value>Default null.</value>
    public LoraOptions? Lora { get; init; }

    /// <summary>True if the token embedding is not trained (<see cref="CausalLM.FreezeEmbeddings"/>).</summary>
    /// <value>Default false.</value>
    public bool FreezeEmbeddings { get; init; }

    /// <summary>True if the backward pass computes each layer again (<see cref="CausalLM.GradientCheckpointing"/>).</summary>
    /// <value>Default false.</value>
    public bool GradientCheckpointing { get; init; }

    /// <summary>True if new tokens are decoded with weights in 8 bits (<see cref="QwenPolicy.Int8Rollouts"/>).</summary>
    /// <value>Default false.</value>
    public bool Int8Rollouts { get; init; }

    /// <summary>True if the projections of the frozen base are in 4 bits (<see cref="QwenLoadOptions.FourBitBase"/>).</summary>
    /// <value>Default false.</value>
    public bool FourBitBase { get; init; }

    /// <inheritdoc/>
    public bool SharesPrompts => true;

    internal DecoderCounts Counts => new(Config);

    internal int ComputeBytes => BytesOf(ComputeType);

    internal bool IsMixed => ComputeType != WeightType;

    /// <summary>Computes the memory model of a folder or hub id without reading weights.</summary>
    /// <remarks>
    /// From the hub it downloads only <c>config.json</c> and the files that may hold the chat template. It refuses a chat template or a
    /// vocabulary that loading would refuse, and logs an assumed template. A folder with nothing but a
    /// <c>config.json</c> allows neither check.
    /// </remarks>
    /// <param name="folderOrHubId">An existing folder, also of an adapter, or an id such as Qwen/Qwen2.5-1.5B-Instruct.</param>
    /// <param name="options">The options for loading, of which device and reference are ignored. Null means the defaults.</param>
    /// <param name="cancellationToken">Cancels the download.</param>
    /// <exception cref="ArgumentException">The options contradict each other, or an option of the adapter is out of range.</exception>
    /// <exception cref="DirectoryNotFoundException">The text is neither a folder nor a hub id.</exception>
    /// <exception cref="FileNotFoundException">The folder has no <c>config.json</c>.</exception>
    /// <exception cref="InvalidDataException">
    /// A configuration is damaged or not of a supported model, or the chat template cannot be used.
    /// </exception>
    /// <exception cref="HubException">The hub is unreachable or refuses the download.</exception>
    public static async Task<QwenMemory> OfAsync(
        string folderOrHubId, QwenLoadOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folderOrHubId);
        options ??= new QwenLoadOptions();
        PretrainedSource source = PretrainedSource.From(folderOrHubId, options);
        string directory = await source.ResolveConfigAsync(options.Progress, cancellationToken).ConfigureAwait(false);
        DecoderConfig config = DecoderConfig.Load(directory);
        ScalarType type = options.KeepStoredType ? QwenWeights.StoredType(config) : ScalarType.Float32;
        CausalLM.RequireComputeType(options.ComputeType ?? type, type);
        CheckpointTemplate.CheckFolder(
            directory, source.Adapter, folderOrHubId, options.ChatTemplate, options.TemplateOptions, options.Logger);
        return new QwenMemory(config)
        {
            WeightType = type,
            ComputeType = options.ComputeType ?? type,
            Lora = source.Adapter is { } adapter ? LoraConfigFile.Load(adapter).Options : options.Lora,
            FreezeEmbeddings = options.FreezeEmbeddings,
            GradientCheckpointing = options.GradientCheckpointing,
            Int8Rollouts = options.Int8Rollouts,
            FourBitBase = options.FourBitBase,
        };
    }

    /// <inheritdoc/>
    /// <exception cref="InvalidOperationException">
    /// <see cref="FourBitBase"/> is true without <see cref="Lora"/>, or with <see cref="Int8Rollouts"/>.
    /// </exception>
    public MemoryNeeds NeedsOf(MemorySizes sizes)
    {
        ArgumentNullException.ThrowIfNull(sizes);
        if (FourBitBase && Lora is null)
        {
            throw new InvalidOperationException(
                "FourBitBase is true, but Lora is null, and weights in 4 bits cannot be trained. Set Lora, or leave FourBitBase out.");
        }

        if (FourBitBase && Int8Rollouts)
        {
            throw new InvalidOperationException(
                "FourBitBase and Int8Rollouts are both true, but rollouts use the base's own 4 bits, which are not rounded again. Leave "
                + "one of the two out.");
        }

        PassTokens tokens = PassTokens.ForMicroBatch(sizes);
        ScalarType decodingType = DecodingType(sizes.Device);
        long weights = WeightBytes(WeightType), adapters = Lora is null ? 0 : Counts.Adapters(Lora);
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
            Training = (sizes.HasOtherMicroBatches ? Math.Max(update.First, update.Later) : update.First) + Dequantized,
            SmallBlocks = update.SmallBlocks,
            Scoring = sizes.WithReference ? Scoring(tokens) + Dequantized : 0,
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

        string smaller = string.Join(", ", new[] { adapters, GradientCheckpointing ? "" : Checkpointing }.Where(words => words.Length > 0));
        if (WeightType == ScalarType.Float32 && QwenWeights.StoredType(Config) is var stored && stored != ScalarType.Float32)
        {
            checkpointed = checkpointed with { WeightType = stored, ComputeType = stored };
            string part = FourBitBase ? "the rest of the frozen base" : "the frozen base";
            leaner.Add(new(With(smaller, $"{part} in the 16 bits that it is stored in"), checkpointed));
        }

        if (!FourBitBase && !Int8Rollouts)
        {
            string rest = checkpointed.WeightType == WeightType ? "" : " and the rest of it in the 16 bits that it is stored in";
            leaner.Add(new(With(smaller, $"the frozen base in 4 bits{rest}"), checkpointed with { FourBitBase = true }));
        }

        return leaner;

        static string With(string before, string change) => before.Length == 0 ? change : $"{before}, {change}";
    }

    // One weight of the base at a time as numbers of the pass, and four million of them in float32 on their way.
    private long Dequantized => FourBitBase
        ? (Counts.LargestProjection * ComputeBytes) + (Single * Math.Min(Counts.LargestProjection, Nf4Weight.NumbersAtOnce))
        : 0;

    // The prompts run together first, and their logits are repeated for the group. Then follows one token per row. The CPU decoder's other
    // buffers, a few numbers per row and position, are not counted.
    private long Decoding(MemorySizes sizes)
    {
        PassTokens prompts = PassTokens.ForPrompts(sizes);
        long logits = (sizes.DecodedPrompts + sizes.DecodedSequences) * Config.VocabularySize * ComputeBytes;
        long prefill = Math.Max(new LayerMemory(this, prompts).Forward, (2 * prompts.Count * Config.HiddenSize * ComputeBytes) + logits);
        long rounded = Int8Rollouts ? (Config.LayerCount * Counts.LayerProjections) + Counts.Embedding : 0;
        long copy = IsMixed ? WeightBytes(ComputeType) : 0;
        return prefill + rounded + copy + Dequantized;
    }

    // As in DecodingSession: float32 on a CPU, a copy on other devices.
    private ScalarType DecodingType(DeviceType device) => device == DeviceType.CPU ? WeightType : ComputeType;

    private long WeightBytes(ScalarType type) => FourBitBase
        ? ((Counts.All - (Config.LayerCount * Counts.LayerProjections)) * BytesOf(type))
            + (Config.LayerCount * Counts.PackedLayerProjections)
        : Counts.All * BytesOf(type);

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
        TokenLogProbs.ScratchBytes(
            tokens.Predicted, Config.HiddenSize, Config.VocabularySize, ComputeType, WeightType, withEntropies, withGradients);
}

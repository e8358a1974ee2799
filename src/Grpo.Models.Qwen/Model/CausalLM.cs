using Grpo.Modeling;
using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Cpu;
using Grpo.Models.Qwen.Lora;
using Grpo.Models.Qwen.Quantization;
using Grpo.Models.Qwen.Tensors;
using Grpo.Models.Qwen.Weights;
using Grpo.Tensors;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Model;

/// <summary>A language model as a torch module: a decoder of any supported family, and its output layer.</summary>
/// <remarks>
/// Its parameters have the names that Hugging Face checkpoints use. Create it with <see cref="Initialize"/>,
/// <see cref="QwenWeights.Load"/> or <see cref="Clone"/>. It owns its parameters until it is disposed.
/// </remarks>
public sealed class CausalLM : nn.Module<Tensor, Tensor?, Tensor>
{
    [ComponentName(Name = "model")] private readonly Decoder _model;
    [ComponentName(Name = "lm_head")] private readonly Projection? _head;

    private ScalarType _computeType;
    private string? _frozenWeights;

    /// <summary>Allocates a model without defined weights.</summary>
    internal CausalLM(
        DecoderConfig config, Device? device = null, ScalarType type = ScalarType.Float32, bool fourBitBase = false)
        : base(nameof(CausalLM))
    {
        ArgumentNullException.ThrowIfNull(config);
        if (config.Problems() is { Count: > 0 } problems)
        {
            throw new ArgumentException(
                $"The configuration does not describe a model that can be built:\n- {string.Join("\n- ", problems)}", nameof(config));
        }

        if (type is not (ScalarType.Float32 or ScalarType.Float64 or ScalarType.BFloat16 or ScalarType.Float16))
        {
            throw new ArgumentException($"Weights must be Float32, BFloat16, Float16 or Float64 but {type} was asked for.", nameof(type));
        }

        Config = config;
        _computeType = type;
        HasFourBitBase = fourBitBase;
        var placement = new ParameterPlacement(device ?? CPU, type);
        _model = new Decoder(config, placement with { HasFourBitProjections = fourBitBase });
        // A tied output layer is the embedding itself, not a copy. So both uses add to one gradient.
        _head = config.TieWordEmbeddings ? null : new Projection(config.HiddenSize, config.VocabularySize, hasBias: false, placement);
        RegisterComponents();
        if (fourBitBase)
        {
            Freeze(); // no gradient reaches the packed weights, nor the biases of their products
        }
    }

    /// <summary>The configuration of the model.</summary>
    public DecoderConfig Config { get; }

    /// <summary>The device of the weights.</summary>
    public Device Device => HeadWeight.device;

    /// <summary>The type of the weights.</summary>
    public ScalarType WeightType => HeadWeight.dtype;

    /// <summary>
    /// The type of the hidden states and matrix products in passes over whole sequences. <see cref="ScalarType.BFloat16"/> with float32
    /// weights is mixed precision.
    /// </summary>
    /// <value>
    /// <see cref="WeightType"/> by default, or <see cref="ScalarType.BFloat16"/> if that is float32.
    /// </value>
    /// <remarks>
    /// In mixed precision each pass multiplies by rounded weights, forward and backward. Weights, gradients, the norms' statistics,
    /// log-probs and loss stay float32. The log-probs equal those of a bfloat16 copy of the model, bit for bit. New tokens are decoded from
    /// a bfloat16 copy on a GPU, and in float32 on a CPU, whose float32 kernels are faster. <see cref="UpdateReport.SamplerDifference"/>
    /// reports the effect of the rounding.
    /// </remarks>
    /// <exception cref="ArgumentException">The type is neither <see cref="WeightType"/> nor BFloat16 with float32 weights.</exception>
    public ScalarType ComputeType
    {
        get => _computeType;
        set
        {
            RequireComputeType(value, WeightType);
            _computeType = value;
        }
    }

    /// <summary>
    /// The weight W of the output layer, logits = hidden · Wᵀ: the embedding if tied, else <c>lm_head</c>. [V, H], owned by the model.
    /// </summary>
    public Tensor HeadWeight => _head?.Weight ?? _model.EmbeddingWeight;

    /// <summary>The adapter that is trained instead of the weights; null if there is none.</summary>
    public LoraAdapter? Adapter { get; private set; }

    /// <summary>
    /// True if the projections of the layers are in 4 bits (<see cref="QwenLoadOptions.FourBitBase"/>). Only an adapter can then be
    /// trained.
    /// </summary>
    public bool HasFourBitBase { get; }

    /// <summary>
    /// True if the forward pass saves only the input of each layer and the backward pass computes the layer again (gradient checkpointing).
    /// </summary>
    /// <value>Default false.</value>
    /// <remarks>
    /// Activations take much less memory, for about one more forward pass. Losses and gradients are the same. Passes
    /// without gradients are not affected.
    /// </remarks>
    public bool GradientCheckpointing
    {
        get => _model.GradientCheckpointing;
        set => _model.GradientCheckpointing = value;
    }

    /// <summary>Creates a model with random weights: normal(0, <see cref="DecoderConfig.InitializerRange"/>), norms 1, biases 0.</summary>
    /// <param name="config">The configuration of the model.</param>
    /// <param name="seed">The seed. It gives the same weights on every device; torch's global generator is not used.</param>
    /// <param name="device">The device of the weights; null means the CPU.</param>
    /// <exception cref="ArgumentException">No model can be built from the configuration.</exception>
    public static CausalLM Initialize(DecoderConfig config, ulong seed, Device? device = null)
    {
        TorchBackend.EnsureAvailable();
        var model = new CausalLM(config, device);
        using var generator = new Generator(seed);
        foreach ((string name, Parameter parameter) in model.named_parameters())
        {
            using var scope = TensorScope.BeginNoGrad();
            if (name.EndsWith(".bias", StringComparison.Ordinal))
            {
                parameter.zero_();
            }
            else if (parameter.dim() == 1)
            {
                parameter.fill_(1);
            }
            else
            {
                Tensor values = empty(parameter.shape, ScalarType.Float32, CPU).normal_(0, config.InitializerRange, generator);
                DeviceTransfer.Copy(values, parameter);
            }
        }

        return model;
    }

    /// <summary>Computes the hidden states of all positions, after the final norm.</summary>
    /// <param name="tokenIds">The token ids, [B, T] int64, below V. Borrowed.</param>
    /// <param name="attentionMask">
    /// The mask, [B, T], non-zero for a real token, with padding on either side; null if all tokens are real. Borrowed.
    /// </param>
    /// <returns>
    /// The hidden states, [B, T, H] in <see cref="ComputeType"/>. Finite but meaningless at padding. Owned by the caller's scope.
    /// </returns>
    /// <exception cref="ArgumentException">A shape, type or device is wrong.</exception>
    public Tensor Hidden(Tensor tokenIds, Tensor? attentionMask = null) => Hidden(tokenIds, attentionMask, cached: null);

    /// <summary>
    /// Computes the logits of all positions. Meant for small inputs, because [B, T, V] is large; training uses <see cref="TokenLogProbs"/>.
    /// </summary>
    /// <param name="tokenIds">The token ids, [B, T] int64, below V. Borrowed.</param>
    /// <param name="attentionMask">The mask, [B, T], non-zero for a real token; null if all tokens are real. Borrowed.</param>
    /// <returns>The logits, [B, T, V] in <see cref="ComputeType"/>. Meaningless at padding. Owned by the caller's scope.</returns>
    public override Tensor forward(Tensor tokenIds, Tensor? attentionMask)
    {
        using var scope = TensorScope.Begin();
        return scope.Keep(FastLinear.Apply(Hidden(tokenIds, attentionMask), HeadWeight.In(ComputeType)));
    }

    /// <summary>Freezes the weights and adds a LoRA adapter, whose weights are then the only trainable parameters.</summary>
    /// <param name="options">The options of the adapter.</param>
    /// <param name="baseModel">The name of this model, which is saved with the adapter; null if it is not known.</param>
    /// <returns>The adapter, also in <see cref="Adapter"/>. It changes no output until it is trained or loaded.</returns>
    /// <exception cref="ArgumentException">An option is out of range; the message lists all of them.</exception>
    /// <exception cref="InvalidOperationException">The model already has an adapter.</exception>
    public LoraAdapter AddAdapter(LoraOptions options, LoraBaseModel? baseModel = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.ThrowIfInvalid(nameof(options));
        if (Adapter is not null)
        {
            throw new InvalidOperationException("The model has an adapter; it can have one. Load the model again for another.");
        }

        using var scope = TensorScope.BeginNoGrad();
        Freeze();
        Adapter = new LoraAdapter(Projections().Select(named => (named.Name, (IAdaptable)named.Projection)), options, baseModel);
        return Adapter;
    }

    internal bool HasFrozenEmbeddings => !_model.EmbeddingWeight.requires_grad;

    /// <summary>Turns off the gradients of all parameters.</summary>
    internal void Freeze()
    {
        using var scope = TensorScope.BeginNoGrad();
        foreach (Parameter parameter in parameters())
        {
            parameter.requires_grad_(false); // returns a second handle
        }
    }

    /// <summary>
    /// Freezes the token embedding and an output layer that is tied to it, so that no gradient is computed for them. An output layer with
    /// its own weight is still trained. Call it before you create an optimizer.
    /// </summary>
    public void FreezeEmbeddings()
    {
        using var scope = TensorScope.BeginNoGrad();
        _model.EmbeddingWeight.requires_grad_(false); // returns a second handle
    }

    /// <summary>
    /// Creates a copy of the model that shares no memory with it. Frozen weights stay frozen. The adapter is copied too, unless it is
    /// merged: then the merged weights become the copy's own.
    /// </summary>
    /// <param name="device">The device of the copy; null means the device of this model.</param>
    /// <param name="type">The type of the copy's weights and computations; null means the types of this model.</param>
    public CausalLM Clone(Device? device = null, ScalarType? type = null) => Copy(device, type, HasFourBitBase);

    /// <summary>
    /// Creates a copy whose projections are the numbers that the 4 bits stand for. It computes the same as this model, and an adapter can
    /// be merged into it.
    /// </summary>
    /// <param name="device">The device of the copy; null means the device of this model.</param>
    /// <param name="type">The type of the copy's weights and computations; null means the types of this model.</param>
    /// <exception cref="InvalidOperationException">The model has no base in 4 bits.</exception>
    internal CausalLM Dequantize(Device? device = null, ScalarType? type = null) => HasFourBitBase
        ? Copy(device, type, fourBitBase: false)
        : throw new InvalidOperationException("The base is not in 4 bits: its weights are numbers already. Use Clone for a copy.");

    private CausalLM Copy(Device? device, ScalarType? type, bool fourBitBase)
    {
        var copy = new CausalLM(Config, device ?? Device, type ?? WeightType, fourBitBase);
        if (Adapter is { IsMerged: false })
        {
            copy.AddAdapter(Adapter.Options, Adapter.BaseModel);
        }

        if (Adapter is null && HasFrozenEmbeddings && !HasFourBitBase)
        {
            copy.FreezeEmbeddings();
        }

        copy.CopyWeightsFrom(this);
        copy.GradientCheckpointing = GradientCheckpointing;
        copy.ComputeType = type ?? ComputeType;
        return copy;
    }

    internal static void RequireComputeType(ScalarType type, ScalarType weightType)
    {
        if (type != weightType && (type, weightType) is not (ScalarType.BFloat16, ScalarType.Float32))
        {
            throw new ArgumentException(
                $"ComputeType is {type} but must be {weightType}, as the weights "
                + $"are{(weightType == ScalarType.Float32 ? ", or BFloat16" : "; another one is for Float32 weights")}.",
                nameof(type));
        }
    }

    internal void CopyWeightsFrom(CausalLM source)
    {
        using var scope = TensorScope.BeginNoGrad();
        Dictionary<string, Parameter> theirs = source.named_parameters()
            .ToDictionary(named => named.name, named => named.parameter, StringComparer.Ordinal);
        Dictionary<string, Projection> projections = source.Projections().ToDictionary(named => named.Name, named => named.Projection);
        foreach ((string name, Projection mine) in Projections().Where(_ => HasFourBitBase || source.HasFourBitBase))
        {
            mine.CopyWeightFrom(projections[name]);
        }

        foreach ((string name, Parameter mine) in named_parameters().Where(named => theirs.ContainsKey(named.name)))
        {
            DeviceTransfer.Copy(theirs[name], mine);
        }
    }

    /// <summary>Returns the weights in 4 bits with the names that they have in a checkpoint; none if the base is not in 4 bits.</summary>
    internal IEnumerable<(string Name, Nf4Weight Weight)> PackedWeights() => Projections()
        .Where(named => named.Projection.Packed is not null)
        .Select(named => ($"{named.Name}.weight", named.Projection.Packed!));

    /// <summary>Computes the hidden states of all positions and writes their keys and values to a cache.</summary>
    /// <param name="tokenIds">The token ids, [B, T] int64.</param>
    /// <param name="attentionMask">The mask, [B, T]; null if all tokens are real.</param>
    /// <param name="cached">The cache to write; null for none.</param>
    /// <param name="hidesEarlierTokens">True if a real token follows padding in some row; null if the caller does not know.</param>
    internal Tensor Hidden(Tensor tokenIds, Tensor? attentionMask, CachePass.Prompts? cached, bool? hidesEarlierTokens = null)
    {
        TensorGuard.Require(tokenIds, nameof(tokenIds), "[B, T]", -1, -1);
        if (tokenIds.dtype != ScalarType.Int64 || tokenIds.device_type != HeadWeight.device_type
            || tokenIds.device_index != HeadWeight.device_index)
        {
            throw new ArgumentException(
                $"tokenIds must be Int64 on {Device} but is {tokenIds.dtype} on {tokenIds.device}.", nameof(tokenIds));
        }

        if (tokenIds.numel() == 0)
        {
            throw new ArgumentException(
                $"tokenIds must hold at least one token but is [{string.Join(", ", tokenIds.shape)}].", nameof(tokenIds));
        }

        if (attentionMask is not null)
        {
            TensorGuard.Require(attentionMask, nameof(attentionMask), "[B, T]", tokenIds.shape);
        }

        using var scope = TensorScope.Begin();
        ScalarType type = cached is null ? ComputeType : WeightType; // the type in which the following tokens are decoded
        AttentionContext context = AttentionContext.ForSequences(tokenIds, attentionMask, Config, type, hidesEarlierTokens);
        return scope.Keep(_model.call(tokenIds, WithAdapter(context with { Cached = cached })));
    }

    /// <summary>Computes the hidden states of a packed row, [1, R, H].</summary>
    internal Tensor Hidden(PackedBatch batch)
    {
        using var scope = TensorScope.Begin();
        return scope.Keep(_model.call(batch.TokenIds, WithAdapter(AttentionContext.ForPacked(batch, Config, ComputeType))));
    }

    /// <summary>Computes the hidden states of one new token per row, [B, 1, H], which continues the cached sequences.</summary>
    internal Tensor HiddenOfNext(Tensor tokenIds, Tensor positions, KeyValueCache cache, Int8Weights? int8, RotaryTable table)
    {
        using var scope = TensorScope.BeginNoGrad();
        AttentionContext context = AttentionContext.ForNextTokens(positions, cache, int8, Config, table);
        return scope.Keep(_model.call(tokenIds.unsqueeze(1), WithAdapter(context)));
    }

    /// <summary>True if the weights have been freed.</summary>
    internal bool IsDisposed { get; private set; }

    /// <summary>Returns the parameters of the model without those of the adapter.</summary>
    internal IEnumerable<(string Name, Parameter Parameter)> BaseParameters() =>
        named_parameters().Where(named => !LoraAdapter.IsParameter(named.name)).Select(named => (named.name, named.parameter));

    /// <summary>Returns the weights of all projections and of the output layer, each once, without adapters and norms.</summary>
    internal IEnumerable<Tensor> ProjectionWeights() =>
        Projections().Select(named => named.Projection.Weight).Append(HeadWeight).DistinctBy(weight => weight.Handle);

    /// <summary>
    /// Describes the weights without those of the adapter by a hash. The weights below an adapter are frozen, so they are read only once.
    /// </summary>
    /// <exception cref="InvalidOperationException">The adapter is merged into the weights.</exception>
    internal string DescribeWeights()
    {
        if (Adapter is null)
        {
            return Read();
        }

        if (_frozenWeights is null)
        {
            Adapter.ThrowIfMerged("those of the base cannot be told");
            _frozenWeights = Read();
        }

        return _frozenWeights;

        string Read() => WeightHash.Describe(BaseParameters().Select(named => (named.Name, (Tensor)named.Parameter))
            .Concat(PackedWeights().SelectMany(named => new[]
            {
                (named.Name, named.Weight.Data.Bytes),
                ($"{named.Name}.scales", named.Weight.Data.Floats),
            })));
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        IsDisposed = true;
        if (disposing)
        {
            Adapter?.FreeOriginals();
        }

        base.Dispose(disposing);
    }

    private IEnumerable<(string Name, Projection Projection)> Projections()
    {
        foreach ((string name, nn.Module module) in named_modules())
        {
            if (module is Projection projection)
            {
                yield return (name, projection);
            }
        }
    }

    private AttentionContext WithAdapter(AttentionContext context) => Adapter is null
        ? context
        : context with { Lora = Adapter.NextPass() };
}

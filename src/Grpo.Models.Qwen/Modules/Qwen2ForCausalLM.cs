using Grpo.Modeling;
using Grpo.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>A Qwen2 language model. Parameter names are those of Hugging Face checkpoints.</summary>
/// <remarks>
/// Made by <see cref="Initialize"/>, <see cref="QwenWeights.Load"/> or <see cref="Clone"/>; owns its parameters until disposed.
/// </remarks>
public sealed class Qwen2ForCausalLM : nn.Module<Tensor, Tensor?, Tensor>
{
    [ComponentName(Name = "model")] private readonly Qwen2Model _model;
    [ComponentName(Name = "lm_head")] private readonly Projection? _head;

    private ScalarType _computeType;
    private string? _frozenWeights;

    /// <summary>A model without defined weights.</summary>
    internal Qwen2ForCausalLM(Qwen2Config config, Device? device = null, ScalarType type = ScalarType.Float32)
        : base(nameof(Qwen2ForCausalLM))
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
        var place = new ParameterPlace(device ?? CPU, type);
        _model = new Qwen2Model(config, place);
        // A tied head is the embedding itself, never a copy: both uses add to one gradient.
        _head = config.TieWordEmbeddings ? null : new Projection(config.HiddenSize, config.VocabularySize, hasBias: false, place);
        RegisterComponents();
    }

    /// <summary>The model's shape.</summary>
    public Qwen2Config Config { get; }

    /// <summary>Where the weights are.</summary>
    public Device Device => HeadWeight.device;

    /// <summary>The type of the weights.</summary>
    public ScalarType WeightType => HeadWeight.dtype;

    /// <summary>
    /// The type of the hidden states and of the products in passes over whole sequences. <see cref="ScalarType.BFloat16"/> with float32 weights is mixed
    /// precision: the products, forward and backward, are of weights rounded for the pass; weights, their gradients, norms' statistics, log-probs and
    /// loss stay float32. Log-probs are those of a copy of the model in bfloat16, bit for bit.
    /// </summary>
    /// <value><see cref="WeightType"/>, the default, or <see cref="ScalarType.BFloat16"/> where that is float32.</value>
    /// <remarks>
    /// New tokens are decoded from a copy in bfloat16 on a GPU, and in float32 on a CPU, whose kernels for that are faster than what there is for
    /// bfloat16; <see cref="UpdateReport.SamplerDifference"/> then reports what the rounding does.
    /// </remarks>
    /// <exception cref="ArgumentException">The type is not one of those.</exception>
    public ScalarType ComputeType
    {
        get => _computeType;
        set
        {
            RequireComputeType(value, WeightType);
            _computeType = value;
        }
    }

    /// <summary>W of logits = hidden · Wᵀ: the embedding where tied, else <c>lm_head</c>. [V, H], owned by the model.</summary>
    public Tensor HeadWeight => _head?.Weight ?? _model.EmbeddingWeight;

    /// <summary>The adapters that are trained in place of the weights; null where there are none.</summary>
    public LoraAdapter? Adapter { get; private set; }

    /// <summary>
    /// Whether the forward pass keeps only the input of each layer and the backward pass computes the layer again: much less memory for
    /// activations, for about one more forward pass. Losses and gradients are the same. Passes without gradient do not depend on it.
    /// </summary>
    /// <value>Default false.</value>
    public bool GradientCheckpointing
    {
        get => _model.GradientCheckpointing;
        set => _model.GradientCheckpointing = value;
    }

    /// <summary>A model with random weights: normal(0, <see cref="Qwen2Config.InitializerRange"/>), norms 1, biases 0.</summary>
    /// <param name="config">The shape.</param>
    /// <param name="seed">The same seed gives the same weights on every device; torch's global generator is not touched.</param>
    /// <param name="device">Where the weights live; default the CPU.</param>
    /// <exception cref="ArgumentException">The configuration does not describe a model that can be built.</exception>
    public static Qwen2ForCausalLM Initialize(Qwen2Config config, ulong seed, Device? device = null)
    {
        TorchBackend.EnsureAvailable();
        var model = new Qwen2ForCausalLM(config, device);
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
                parameter.copy_(empty(parameter.shape, ScalarType.Float32).normal_(0, config.InitializerRange, generator));
            }
        }

        return model;
    }

    /// <summary>Hidden states of all positions, after the final norm.</summary>
    /// <param name="tokenIds">[B, T] int64, ids below V. Borrowed.</param>
    /// <param name="attentionMask">[B, T], non-zero for a real token, padding on either side; null when all are real. Borrowed.</param>
    /// <returns>[B, T, H] in <see cref="ComputeType"/>; finite but meaningless at padding. Owned by the caller's scope.</returns>
    /// <exception cref="ArgumentException">A shape, type or device is wrong.</exception>
    public Tensor Hidden(Tensor tokenIds, Tensor? attentionMask = null) => Hidden(tokenIds, attentionMask, cached: null);

    /// <summary>Logits of all positions; for small inputs: [B, T, V] is large. Training uses <see cref="TokenLogProbs"/> instead.</summary>
    /// <param name="tokenIds">[B, T] int64, ids below V. Borrowed.</param>
    /// <param name="attentionMask">[B, T], non-zero for a real token; null when all are real. Borrowed.</param>
    /// <returns>[B, T, V] in <see cref="ComputeType"/>; meaningless at padding. Owned by the caller's scope.</returns>
    public override Tensor forward(Tensor tokenIds, Tensor? attentionMask)
    {
        using var scope = TensorScope.Begin();
        return scope.Keep(FastLinear.Apply(Hidden(tokenIds, attentionMask), HeadWeight.In(ComputeType)));
    }

    /// <summary>Freezes the weights and adds adapters to them, the only parameters that are trained from now on.</summary>
    /// <param name="options">What is adapted, and how.</param>
    /// <param name="baseModel">What this model is called, for who loads the adapter later; null: not known.</param>
    /// <returns>The adapter, also in <see cref="Adapter"/>; it changes nothing until it has been trained or loaded.</returns>
    /// <exception cref="ArgumentException">An option is out of range; the message lists all of them.</exception>
    /// <exception cref="InvalidOperationException">The model has an adapter.</exception>
    public LoraAdapter AddAdapter(LoraOptions options, LoraBaseModel? baseModel = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.ThrowIfInvalid(nameof(options));
        if (Adapter is not null)
        {
            throw new InvalidOperationException("The model has an adapter; it can have one. Load the model again for another.");
        }

        using var scope = TensorScope.BeginNoGrad();
        foreach (Parameter parameter in parameters())
        {
            parameter.requires_grad_(false); // returns a second handle
        }

        Adapter = new LoraAdapter(this, options, baseModel);
        return Adapter;
    }

    internal bool HasFrozenEmbeddings => !_model.EmbeddingWeight.requires_grad;

    /// <summary>
    /// Trains the token embedding no more, nor a head that is tied to it: no gradient is computed for it. A head of its own goes on being trained.
    /// Before an optimizer is made.
    /// </summary>
    public void FreezeEmbeddings()
    {
        using var scope = TensorScope.BeginNoGrad();
        _model.EmbeddingWeight.requires_grad_(false); // returns a second handle
    }

    /// <summary>
    /// A copy with the same weights, sharing nothing; what is frozen is frozen there too. It has the adapter too, unless that is merged: then
    /// the merged weights are its own.
    /// </summary>
    /// <param name="device">Where the copy lives; null: on the device of this model.</param>
    /// <param name="type">The type of its weights, and of what it computes; null: those of this model.</param>
    public Qwen2ForCausalLM Clone(Device? device = null, ScalarType? type = null)
    {
        var copy = new Qwen2ForCausalLM(Config, device ?? Device, type ?? WeightType);
        if (Adapter is { IsMerged: false })
        {
            copy.AddAdapter(Adapter.Options, Adapter.BaseModel);
        }

        if (Adapter is null && HasFrozenEmbeddings)
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
                $"ComputeType is {type} but must be {weightType}, as the weights are{(weightType == ScalarType.Float32 ? ", or BFloat16" : "; another one is for Float32 weights")}.",
                nameof(type));
        }
    }

    internal void CopyWeightsFrom(Qwen2ForCausalLM source)
    {
        using var scope = TensorScope.BeginNoGrad();
        Dictionary<string, Parameter> theirs = source.named_parameters().ToDictionary(named => named.name, named => named.parameter, StringComparer.Ordinal);
        foreach ((string name, Parameter mine) in named_parameters())
        {
            mine.copy_(theirs[name]);
        }
    }

    /// <summary>The same, and the cache receives the keys and values.</summary>
    internal Tensor Hidden(Tensor tokenIds, Tensor? attentionMask, CachePass.Prompts? cached)
    {
        TensorGuard.Require(tokenIds, nameof(tokenIds), "[B, T]", -1, -1);
        if (tokenIds.dtype != ScalarType.Int64 || tokenIds.device_type != HeadWeight.device_type || tokenIds.device_index != HeadWeight.device_index)
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
        ScalarType type = cached is null ? ComputeType : WeightType; // as the tokens that follow
        AttentionContext context = AttentionContext.ForSequences(tokenIds, attentionMask, Config, type) with { Cached = cached };
        return scope.Keep(_model.call(tokenIds, WithAdapter(context)));
    }

    /// <summary>Hidden states of a packed row, [1, R, H].</summary>
    internal Tensor Hidden(PackedBatch batch)
    {
        using var scope = TensorScope.Begin();
        return scope.Keep(_model.call(batch.TokenIds, WithAdapter(AttentionContext.ForPacked(batch, Config, ComputeType))));
    }

    /// <summary>Hidden states of one new token a row, [B, 1, H], after what the cache holds.</summary>
    internal Tensor HiddenOfNext(Tensor tokenIds, Tensor positions, KeyValueCache cache, Int8Weights? int8)
    {
        using var scope = TensorScope.BeginNoGrad();
        AttentionContext context = AttentionContext.ForNextTokens(positions, cache, int8, Config, WeightType);
        return scope.Keep(_model.call(tokenIds.unsqueeze(1), WithAdapter(context)));
    }

    /// <summary>True if the weights were freed.</summary>
    internal bool IsDisposed { get; private set; }

    /// <summary>The parameters of the model itself: all but those of the adapter.</summary>
    internal IEnumerable<(string Name, Parameter Parameter)> BaseParameters() =>
        named_parameters().Where(named => !LoraAdapter.IsParameter(named.name)).Select(named => (named.name, named.parameter));

    /// <summary>
    /// The weights without those of the adapter, in words: all are read. Below an adapter they are frozen, and read once.
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

        string Read() => WeightHash.Describe(BaseParameters().Select(named => (named.Name, (Tensor)named.Parameter)));
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

    private AttentionContext WithAdapter(AttentionContext context) => Adapter is null ? context : context with { Lora = Adapter.NextPass() };
}

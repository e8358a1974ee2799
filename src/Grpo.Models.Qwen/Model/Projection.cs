using Grpo.Models.Qwen.Cpu;
using Grpo.Models.Qwen.Lora;
using Grpo.Models.Qwen.Quantization;
using Grpo.Models.Qwen.Tensors;
using Grpo.Tensors;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Model;

/// <summary>A linear layer y = x Wᵀ + b with W [out, in], plus the update of an adapter if one is attached.</summary>
/// <remarks>Unlike torch's Linear it does not use the global generator: the caller loads or initializes the weights.</remarks>
internal sealed class Projection : nn.Module<Tensor, AttentionContext, Tensor>, IAdaptable
{
    [ComponentName(Name = "weight")] private readonly Parameter? _weight;           // null: the weight is in 4 bits
    [ComponentName(Name = "packed_weight")] private readonly Nf4Weight? _packed;
    [ComponentName(Name = "bias")] private readonly Parameter? _bias;

    private LowRankUpdate? _update;

    internal Projection(long inputs, long outputs, bool hasBias, ParameterPlacement placement)
        : base(nameof(Projection))
    {
        _packed = placement.HasFourBitProjections ? new Nf4Weight(outputs, inputs, placement) : null;
        _weight = _packed is null ? placement.Allocate(outputs, inputs) : null;
        _bias = hasBias ? placement.Allocate(outputs) : null;
        RegisterComponents();
    }

    /// <summary>The weight, [out, in].</summary>
    /// <exception cref="InvalidOperationException">The weight is in 4 bits.</exception>
    public Tensor Weight => _weight ?? throw new InvalidOperationException(
        "The weight is in 4 bits, so there is no tensor of its numbers. "
        + $"{nameof(QwenPolicy)}.{nameof(QwenPolicy.Dequantize)} makes a policy that has them.");

    /// <inheritdoc/>
    public LinearShape Shape => _packed is null
        ? LinearShape.FromWeight(Weight)
        : new LinearShape(_packed.Data.Layout.Outputs, _packed.Data.Layout.Inputs, _packed.Data.Bytes.device);

    /// <inheritdoc/>
    public bool CanMerge => _packed is null;

    /// <inheritdoc/>
    public double WeightNorm()
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor weight = _packed is null ? Weight.to(ScalarType.Float32) : Nf4Weight.Dequantize(_packed.Data, ScalarType.Float32);
        return DeviceTransfer.ToNumber<float>(weight.norm());
    }

    /// <summary>The weight in 4 bits; null if it is a parameter.</summary>
    internal Nf4Weight? Packed => _packed;

    /// <summary>Computes the output of the layer.</summary>
    /// <param name="input">The input, […, in].</param>
    /// <param name="context">The context of this pass, with the state of the adapter.</param>
    /// <returns>The output, […, out], in the type of <paramref name="input"/>.</returns>
    public override Tensor forward(Tensor input, AttentionContext context)
    {
        if (_update is null)
        {
            return Multiply(input, context);
        }

        // Without this check, a reference could run with the adapter on, and the KL term would silently be 0.
        LoraPass pass = context.Lora ?? throw new InvalidOperationException(
            "The weight has an adapter, but the pass does not say whether it takes part. Run the model by its own methods.");
        using var scope = TensorScope.Begin();
        Tensor output = Multiply(input, context);
        return scope.Keep(pass.IsOff ? output : (output + _update.Apply(input, pass)).to(output.dtype));
    }

    private Tensor Multiply(Tensor input, AttentionContext context)
    {
        using var scope = TensorScope.Begin();
        return scope.Keep((_packed, context.Cached) switch
        {
            ({ } packed, CachePass.NextTokens) => Nf4DecodingLinear.Apply(input, packed.Data, _bias?.In(input.dtype)),
            ({ } packed, _) => Nf4Linear.Apply(input, packed.Data, _bias?.In(input.dtype)),
            (_, CachePass.NextTokens next) when next.Int8 is not null || !DeviceTransfer.IsOnDevice(input) =>
                DecodingLinear.Apply(input, Weight, _bias, next.Int8),
            _ => FastLinear.Apply(input, Weight.In(input.dtype), _bias?.In(input.dtype)),
        });
    }

    /// <summary>Copies the weight of another projection, from or to 4 bits if only one of the two has them.</summary>
    internal void CopyWeightFrom(Projection other)
    {
        using var scope = TensorScope.BeginNoGrad();
        switch (_packed, other._packed)
        {
            case (null, null):
                DeviceTransfer.Copy(other.Weight, Weight);
                break;
            case (null, { } packed):
                DeviceTransfer.Copy(Nf4Weight.Dequantize(packed.Data, ScalarType.Float32), Weight);
                break;
            case ({ } packed, null):
                packed.Quantize(other.Weight);
                break;
            case ({ } mine, { } theirs):
                mine.CopyFrom(theirs.Data);
                break;
        }
    }

    /// <inheritdoc/>
    public void Attach(LowRankUpdate update)
    {
        _update = update;
        register_module(LoraAdapter.DownName, update.Down);
        register_module(LoraAdapter.UpName, update.Up);
    }
}

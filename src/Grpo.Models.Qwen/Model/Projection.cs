using Grpo.Models.Qwen.Cpu;
using Grpo.Models.Qwen.Lora;
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
    [ComponentName(Name = "weight")] private readonly Parameter _weight;
    [ComponentName(Name = "bias")] private readonly Parameter? _bias;

    private LowRankUpdate? _update;

    internal Projection(long inputs, long outputs, bool hasBias, ParameterPlacement placement)
        : base(nameof(Projection))
    {
        _weight = placement.Allocate(outputs, inputs);
        _bias = hasBias ? placement.Allocate(outputs) : null;
        RegisterComponents();
    }

    /// <summary>The weight, [out, in].</summary>
    public Tensor Weight => _weight;

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
        return scope.Keep(context.Cached is CachePass.NextTokens next
            ? DecodingLinear.Apply(input, _weight, _bias, next.Int8)
            : FastLinear.Apply(input, _weight.In(input.dtype), _bias?.In(input.dtype)));
    }

    /// <inheritdoc/>
    public void Attach(LowRankUpdate update)
    {
        _update = update;
        register_module(LoraAdapter.DownName, update.Down);
        register_module(LoraAdapter.UpName, update.Up);
    }
}

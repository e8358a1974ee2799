using Grpo.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>y = x Wᵀ + b with W [out, in], and the update of an adapter where one is attached.</summary>
/// <remarks>Unlike torch's Linear it draws nothing from the global generator: the weights are loaded or initialised from outside.</remarks>
internal sealed class Projection : nn.Module<Tensor, AttentionContext, Tensor>
{
    [ComponentName(Name = "weight")] private readonly Parameter _weight;
    [ComponentName(Name = "bias")] private readonly Parameter? _bias;

    private LowRankUpdate? _update;

    internal Projection(long inputs, long outputs, bool hasBias, ParameterPlace place)
        : base(nameof(Projection))
    {
        _weight = place.Allocate(outputs, inputs);
        _bias = hasBias ? place.Allocate(outputs) : null;
        RegisterComponents();
    }

    /// <summary>[out, in].</summary>
    internal Tensor Weight => _weight;

    internal Parameter WeightParameter => _weight;

    /// <param name="input">[…, in].</param>
    /// <param name="context">Of this pass; says whether the adapter takes part.</param>
    /// <returns>[…, out], in the type of <paramref name="input"/>.</returns>
    public override Tensor forward(Tensor input, AttentionContext context)
    {
        if (_update is null)
        {
            return Multiply(input, context);
        }

        // A pass that forgot to ask would let the reference run with the adapter on, and the KL term would be 0 without a word.
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

    /// <summary>Adds an adapter, whose parameters become parameters of this module.</summary>
    internal void Attach(LowRankUpdate update)
    {
        _update = update;
        register_module(LoraAdapter.DownName, update.Down);
        register_module(LoraAdapter.UpName, update.Up);
    }
}

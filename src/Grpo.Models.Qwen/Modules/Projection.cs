using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>y = x Wᵀ + b with W [out, in].</summary>
/// <remarks>Unlike torch's Linear it draws nothing from the global generator: the weights are loaded or initialised from outside.</remarks>
internal sealed class Projection : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = "weight")] private readonly Parameter _weight;
    [ComponentName(Name = "bias")] private readonly Parameter? _bias;

    internal Projection(long inputs, long outputs, bool hasBias, ParameterPlace place)
        : base(nameof(Projection))
    {
        _weight = place.Allocate(outputs, inputs);
        _bias = hasBias ? place.Allocate(outputs) : null;
        RegisterComponents();
    }

    /// <summary>[out, in].</summary>
    internal Tensor Weight => _weight;

    /// <param name="input">[…, in].</param>
    /// <returns>[…, out].</returns>
    public override Tensor forward(Tensor input) => nn.functional.linear(input, _weight, _bias);
}

using Grpo.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>x / √(mean(x²) + ε) · w over the last axis; the statistics are float32 whatever the type of x.</summary>
internal sealed class RmsNorm : nn.Module<Tensor, Tensor>
{
    private static readonly long[] LastAxis = [-1];

    private readonly double _epsilon;
    [ComponentName(Name = "weight")] private readonly Parameter _weight;

    internal RmsNorm(long width, double epsilon, ParameterPlace place)
        : base(nameof(RmsNorm))
    {
        _epsilon = epsilon;
        _weight = place.Allocate(width);
        RegisterComponents();
    }

    /// <param name="input">[…, H].</param>
    /// <returns>[…, H], in the type of <paramref name="input"/>.</returns>
    public override Tensor forward(Tensor input)
    {
        using var scope = TensorScope.Begin();
        return scope.Keep(Recomputed.Run(Normalize, input, _weight.In(input.dtype)));
    }

    private Tensor Normalize(IReadOnlyList<Tensor> inputAndWeight)
    {
        using var scope = TensorScope.Begin();
        (Tensor input, Tensor weight) = (inputAndWeight[0], inputAndWeight[1]);
        Tensor wide = input.to(ScalarType.Float32);
        Tensor scale = (wide.square().mean(LastAxis, keepdim: true) + _epsilon).rsqrt();     // […, 1]
        return scope.Keep((wide * scale).to(input.dtype) * weight);
    }
}

using Grpo.Models.Qwen.Tensors;
using Grpo.Tensors;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Model;

/// <summary>RMSNorm: x / √(mean(x²) + ε) · w over the last axis. The statistics are float32 whatever the type of x.</summary>
internal sealed class RmsNorm : nn.Module<Tensor, Tensor>
{
    private static readonly long[] LastAxis = [-1];

    private readonly double _epsilon;
    [ComponentName(Name = "weight")] private readonly Parameter _weight;

    internal RmsNorm(long width, double epsilon, ParameterPlacement placement)
        : base(nameof(RmsNorm))
    {
        _epsilon = epsilon;
        _weight = placement.Allocate(width);
        RegisterComponents();
    }

    /// <summary>Normalizes the rows of a tensor.</summary>
    /// <param name="input">The rows, […, H].</param>
    /// <returns>The normalized rows, […, H], in the type of <paramref name="input"/>.</returns>
    public override Tensor forward(Tensor input)
    {
        using var scope = TensorScope.Begin();
        return scope.Keep(Recomputed.Run(Normalize, input, _weight.In(input.dtype)));
    }

    private Tensor Normalize(IReadOnlyList<Tensor> inputAndWeight)
    {
        using var scope = TensorScope.Begin();
        (Tensor input, Tensor weight) = (inputAndWeight[0], inputAndWeight[1]);
        Tensor wide = input.In(ScalarType.Float32);
        Tensor scale = (wide.square().mean(LastAxis, keepdim: true) + _epsilon).rsqrt();     // […, 1]
        return scope.Keep((wide * scale).In(input.dtype) * weight);
    }
}

using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Cpu;

/// <summary>The linear layer y = x Wᵀ + b of a decoding step, by the fastest kernel for its few rows.</summary>
internal static class DecodingLinear
{
    /// <summary>Computes x Wᵀ + b.</summary>
    /// <param name="input">The rows x, […, in]. Borrowed.</param>
    /// <param name="weight">The weight W, [out, in]. Borrowed.</param>
    /// <param name="bias">The bias b, [out], or null. Borrowed.</param>
    /// <param name="int8">The weights in 8 bits; null multiplies in the weights' own type.</param>
    /// <returns>The result, […, out] in the type of <paramref name="input"/>. Owned by the caller's scope.</returns>
    internal static Tensor Apply(Tensor input, Tensor weight, Tensor? bias, Int8Weights? int8)
    {
        using var scope = TensorScope.BeginNoGrad();
        long[] shape = input.shape;
        Tensor rows = input.reshape(-1, shape[^1]);
        Tensor output;
        if (int8?.Find(weight, rows.shape[0]) is { } rounded)
        {
            output = rounded.Multiply(rows).to(input.dtype);
        }
        else if (SkinnyLinear.Suits(rows, weight))
        {
            output = SkinnyLinear.Apply(rows, weight);
        }
        else
        {
            return scope.Keep(FastLinear.Apply(input, weight, bias));
        }

        if (bias is not null)
        {
            output = output.add_(bias);
        }

        return scope.Keep(output.reshape([.. shape[..^1], output.shape[1]]));
    }
}

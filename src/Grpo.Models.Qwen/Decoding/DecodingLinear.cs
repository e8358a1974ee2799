using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>y = x Wᵀ + b while decoding, the fastest way there is for so few rows.</summary>
internal static class DecodingLinear
{
    /// <param name="input">[…, in]. Borrowed.</param>
    /// <param name="weight">[out, in]. Borrowed.</param>
    /// <param name="bias">[out], or null. Borrowed.</param>
    /// <param name="int8">The weights in 8 bits, or null for their own type.</param>
    /// <returns>[…, out] in the type of <paramref name="input"/>. Owned by the caller's scope.</returns>
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

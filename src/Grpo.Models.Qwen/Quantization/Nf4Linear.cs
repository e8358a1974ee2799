using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Quantization;

/// <summary>The linear layer y = x Wᵀ + b with a frozen weight in 4 bits, differentiable with respect to x.</summary>
/// <remarks>
/// Autograd saves only the 4 bits of the weight. Its numbers exist during the product, and again during the product of the backward pass.
/// Result and gradient equal those of <see cref="FastLinear"/> with the same numbers, to the bit.
/// </remarks>
internal sealed class Nf4Linear : SafeFunction<Nf4Linear>
{
    private const string CallKey = "call";

    /// <inheritdoc/>
    public override string Name => nameof(Nf4Linear);

    /// <summary>Computes x Wᵀ + b.</summary>
    /// <param name="input">The input x, […, in]. Borrowed.</param>
    /// <param name="weight">The weight W, [out, in], whose numbers are rounded to the type of x. Borrowed.</param>
    /// <param name="bias">The frozen bias b, [out] in the type of x, or null. Borrowed.</param>
    /// <returns>The result, […, out]. Owned by the caller's scope.</returns>
    internal static Tensor Apply(Tensor input, Nf4Data weight, Tensor? bias)
    {
        using var scope = TensorScope.Begin();
        return scope.Keep(is_grad_enabled() && input.requires_grad
            ? apply(input, new Call(weight, bias, input.shape))
            : FastLinear.Apply(input, Nf4Weight.Dequantize(weight, input.dtype), bias));
    }

    /// <inheritdoc/>
    protected override Tensor Compute(autograd.AutogradContext context, object[] inputs)
    {
        (Tensor input, var call) = ((Tensor)inputs[0], (Call)inputs[1]);
        using var scope = TensorScope.BeginNoGrad();
        context.set_materialize_grads(false);
        context.save_for_backward([call.Weight.Bytes, call.Weight.Floats]);
        context.save_data(CallKey, call with { Bias = null });
        return scope.Keep(FastLinear.Apply(input, Nf4Weight.Dequantize(call.Weight, input.dtype), call.Bias));
    }

    /// <inheritdoc/>
    protected override List<Tensor> Differentiate(autograd.AutogradContext context, Tensor gradient)
    {
        using Tensor owned = gradient;                                                                   // […, out]
        if (gradient.IsInvalid)
        {
            return [null!, null!];
        }

        using var scope = TensorScope.BeginNoGrad();
        var call = (Call)context.get_data(CallKey);
        List<Tensor> saved = context.get_saved_variables();
        var data = new Nf4Data(saved[0], saved[1], call.Weight.Layout);
        return [scope.Keep(FastLinear.InputGradient(gradient, Nf4Weight.Dequantize(data, gradient.dtype), call.Shape)), null!];
    }

    /// <summary>The arguments of a call that have no gradient.</summary>
    /// <param name="Weight">The weight.</param>
    /// <param name="Bias">The bias, or null.</param>
    /// <param name="Shape">The shape of the input.</param>
    private sealed record Call(Nf4Data Weight, Tensor? Bias, long[] Shape);
}

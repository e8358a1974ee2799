using static TorchSharp.torch;

namespace Grpo.Tensors;

/// <summary>
/// For functions of one's own whose gradient is as large as a weight: adding it in place saves the tensor that would carry it to the weight, and
/// where a weight has several uses the one for their sum.
/// </summary>
public static class LeafGradient
{
    /// <summary>The gradient of a weight, zeros when it has none yet; to add to, in a backward pass, in place of returning a gradient.</summary>
    /// <param name="weight">Any shape. Borrowed; its <c>grad</c> is made.</param>
    /// <returns>[as the weight] float32, a view of the weight's own, owned by the caller's scope; null where the gradient must be returned: the weight is no leaf, or not float32.</returns>
    /// <remarks>Only for <c>backward()</c>: <c>autograd.grad</c> would not see it.</remarks>
    public static Tensor? Of(Tensor weight)
    {
        ArgumentNullException.ThrowIfNull(weight);
        if (!IsFor(weight))
        {
            return null;
        }

        if (weight.grad is null)
        {
            using var scope = TensorScope.BeginNoGrad();
            weight.grad = zeros_like(weight);
        }

        return weight.grad;
    }

    /// <summary>Whether <see cref="Of"/> gives the gradient of such a weight.</summary>
    internal static bool IsFor(Tensor weight) => weight.is_leaf && weight.dtype == ScalarType.Float32;
}

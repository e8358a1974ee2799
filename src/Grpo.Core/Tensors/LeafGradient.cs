using static TorchSharp.torch;

namespace Grpo.Tensors;

/// <summary>Gives autograd functions in C# direct access to the gradient of a weight, so that they can add to it in place.</summary>
/// <remarks>
/// Adding in place saves a tensor of the weight's size that would carry the gradient to the weight. If a weight is used several times, it
/// also saves the tensor of their sum.
/// </remarks>
public static class LeafGradient
{
    /// <summary>
    /// Returns the gradient of a weight, for a backward pass to add to instead of returning a gradient. Creates zeros if it has none.
    /// </summary>
    /// <param name="weight">The weight, of any shape. Borrowed; its <c>grad</c> is created if needed.</param>
    /// <returns>
    /// The weight's own gradient, float32, of its shape, owned by the caller's scope. Null if the weight is no leaf or not float32: then
    /// the function must return its gradient.
    /// </returns>
    /// <remarks>Works with <c>backward()</c> only, since <c>autograd.grad</c> does not read the gradients of leaves.</remarks>
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

    /// <summary>True if <see cref="Of"/> returns a gradient for this weight.</summary>
    internal static bool IsFor(Tensor weight) => weight.is_leaf && weight.dtype == ScalarType.Float32;
}

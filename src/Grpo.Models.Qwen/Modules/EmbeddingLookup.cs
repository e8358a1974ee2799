using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>
/// The rows of W at some token ids, differentiable in W. A float32 leaf gets the gradient of the rows that were looked up added in place; torch's
/// own way makes one of the size of W to hold these few rows, and where W is the output layer too a second one for the sum.
/// </summary>
internal sealed class EmbeddingLookup : SafeFunction<EmbeddingLookup>
{
    /// <inheritdoc/>
    public override string Name => nameof(EmbeddingLookup);

    /// <param name="weight">[V, H]. Borrowed.</param>
    /// <param name="ids">[n] int64. Borrowed.</param>
    /// <returns>[n, H]. Owned by the caller's scope.</returns>
    internal static Tensor Rows(Tensor weight, Tensor ids) =>
        is_grad_enabled() && weight.requires_grad ? apply(weight, ids) : weight.index_select(0, ids);

    /// <inheritdoc/>
    protected override Tensor Compute(autograd.AutogradContext context, object[] inputs)
    {
        (Tensor weight, Tensor ids) = ((Tensor)inputs[0], (Tensor)inputs[1]);
        context.save_for_backward([weight, ids]);
        return weight.index_select(0, ids);
    }

    /// <inheritdoc/>
    protected override List<Tensor> Differentiate(autograd.AutogradContext context, Tensor gradient)
    {
        using Tensor owned = gradient;                                                                   // [n, H]
        using var scope = TensorScope.BeginNoGrad();
        List<Tensor> saved = context.get_saved_variables();
        (Tensor weight, Tensor ids) = (saved[0], saved[1]);
        // The rows of an id are summed first: what is added to the output layer's share is then the same as in torch's way, bit for bit.
        (Tensor distinct, Tensor? places, _) = ids.unique(sorted: true, return_inverse: true);
        Tensor sums = zeros([distinct.shape[0], weight.shape[1]], gradient.dtype, gradient.device).index_add_(0, places!, gradient, 1);
        if (LeafGradient.Of(weight) is { } leaf)
        {
            leaf.index_add_(0, distinct, sums, 1);
            return [null!, null!];
        }

        return [scope.Keep(zeros_like(weight).index_add_(0, distinct, sums, 1)), null!];
    }
}

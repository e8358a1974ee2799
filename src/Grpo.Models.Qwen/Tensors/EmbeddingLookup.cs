using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tensors;

/// <summary>
/// A differentiable lookup of rows of W by token ids that adds the gradient of these rows to W's gradient in place. Torch's own lookup
/// allocates a gradient as large as W, and a second one for the sum if W is also the output layer.
/// </summary>
internal sealed class EmbeddingLookup : SafeFunction<EmbeddingLookup>
{
    /// <inheritdoc/>
    public override string Name => nameof(EmbeddingLookup);

    /// <summary>Returns the rows of a weight at some ids.</summary>
    /// <param name="weight">The embedding W, [V, H]. Borrowed.</param>
    /// <param name="ids">The token ids, [n] int64. Borrowed.</param>
    /// <returns>The rows, [n, H]. Owned by the caller's scope.</returns>
    internal static Tensor Rows(Tensor weight, Tensor ids)
    {
        TensorGuard.RequireSameDevice(ids, nameof(ids), weight);
        return is_grad_enabled() && weight.requires_grad ? apply(weight, ids) : weight.index_select(0, ids);
    }

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
        // Rows of the same id are summed before they are added to the gradient. The result is then bit for bit that of torch's own lookup.
        (Tensor distinct, Tensor rowOfId) = DeviceTransfer.IsOnDevice(ids) ? SortOnDevice(ids) : SortOnCpu(ids);
        Tensor sums = zeros([distinct.shape[0], weight.shape[1]], gradient.dtype, gradient.device).index_add_(0, rowOfId, gradient, 1);
        if (LeafGradient.Of(weight) is { } leaf)
        {
            leaf.index_add_(0, distinct, sums, 1);
            return [null!, null!];
        }

        return [scope.Keep(zeros_like(weight).index_add_(0, distinct, sums, 1)), null!];
    }

    // The distinct ids in ascending order, and the rank of each id among them.
    private static (Tensor Distinct, Tensor RankOfId) SortOnCpu(Tensor ids)
    {
        long[] values = DeviceTransfer.ToArray<long>(ids);
        long[] distinct = [.. values.Distinct().Order()];
        long[] ranks = [.. values.Select(id => (long)Array.BinarySearch(distinct, id))];
        return (DeviceTransfer.ToDevice(distinct, ids.device), DeviceTransfer.ToDevice(ranks, ids.device));
    }

    // The same without knowing the number of distinct ids, for which a device would have to be waited for. The n results after the last
    // rank name id 0. Their sums are 0, so they change nothing.
    private static (Tensor Distinct, Tensor RankOfId) SortOnDevice(Tensor ids)
    {
        (Tensor sorted, Tensor order) = ids.sort(0);                                                     // [n]
        Tensor isNew = sorted.narrow(0, 1, sorted.shape[0] - 1).ne(sorted.narrow(0, 0, sorted.shape[0] - 1));
        Tensor ranks = cat([isNew.new_zeros(1), isNew.cumsum(0)]);                                       // [n]
        return (zeros_like(ids).scatter_(0, ranks, sorted), zeros_like(ids).scatter_(0, order, ranks));
    }
}

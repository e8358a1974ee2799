using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Modeling;

/// <summary>
/// The sums of an online softmax over rows of logits: the largest logit, Σ e^x and, for the entropy, Σ x·e^x with x = z − largest. If a
/// later part of the rows has a larger logit, the sums are rescaled to it.
/// </summary>
/// <param name="withEntropies">True if <see cref="Entropy"/> will be called.</param>
/// <remarks>Milakov and Gimelshein, arXiv:1805.02867.</remarks>
internal sealed class SoftmaxSums(bool withEntropies) : IDisposable
{
    private static readonly long[] VocabularyAxis = [1];

    private Tensor? _largest;
    private Tensor? _sum;
    private Tensor? _weighted;

    /// <summary>The largest logit of each row, [n, 1].</summary>
    internal Tensor Largest => _largest!;

    /// <summary>Computes log Σ e^(z − max) of each row, [n, 1]. In the caller's scope.</summary>
    internal Tensor Excess() => _sum!.log();

    /// <summary>Computes the entropy H = log Σ e^x − Σ x·e^x / Σ e^x of each row, [n, 1]. In the caller's scope.</summary>
    internal Tensor Entropy() => Excess() - (_weighted! / _sum!);

    /// <summary>Adds a part of the logits to the sums.</summary>
    /// <param name="logits">The logits, [n, w] float32. They are overwritten.</param>
    internal void Add(Tensor logits)
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor largest = logits.amax(VocabularyAxis, keepdim: true);                                     // [n, 1]
        Tensor? rise = null;
        if (_largest is not null)
        {
            largest = largest.maximum(_largest);
            rise = _largest - largest;                                                                   // at most 0
        }

        Tensor shifted = logits.sub_(largest);
        Tensor weights = withEntropies ? shifted.exp() : shifted.exp_();                                 // [n, w]
        Tensor sum = weights.sum(VocabularyAxis, keepdim: true);                                         // [n, 1]
        Tensor? weighted = withEntropies ? weights.mul_(shifted).sum(VocabularyAxis, keepdim: true) : null;
        if (rise is not null)
        {
            Tensor factor = rise.exp();
            // Σ (x + r)·e^(x + r) = e^r · (Σ x·e^x + r · Σ e^x)
            weighted?.add_((_weighted! + (rise * _sum!)).mul_(factor));
            sum.add_(_sum! * factor);
        }

        Dispose();
        (_largest, _sum, _weighted) = (scope.Release(largest), scope.Release(sum), weighted is null ? null : scope.Release(weighted));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _largest?.Dispose();
        _sum?.Dispose();
        _weighted?.Dispose();
    }
}

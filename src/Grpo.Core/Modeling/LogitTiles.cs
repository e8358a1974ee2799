using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Modeling;

/// <summary>
/// The logits of some rows against some of the vocabulary at a time, z = hidden · Wᵀ / temperature, and the products that turn their gradients into
/// those of hidden and W. Tiles of a large vocabulary are nearly square: a product is fast then, and a tile stays in the cache.
/// </summary>
/// <remarks>
/// Where a product is faster as a convolution (<see cref="FastLinear"/>), the tile is computed as W · hiddenᵀ: the convolution's own gradients are
/// then those of hidden and W, and none of the three products needs a matrix turned round.
/// </remarks>
internal sealed class LogitTiles
{
    // With four bytes a logit just below NativeEnvironment's largest block: a tile's pages stay for the next one.
    private const int WidestTile = 7168;
    private const int WidestChunk = 4 * WidestTile;
    private const int LargestTile = 1024 * WidestTile;

    private readonly Tensor _hidden;
    private readonly Tensor _weight;                   // in hidden's type where it serves several rows of tiles
    private readonly double _temperature;
    private readonly Tensor? _scratch;                 // of one tile at a time, where products are no convolutions
    private readonly bool _isTurned;

    /// <summary>Makes the buffer that all tiles share where they can, in the current scope.</summary>
    /// <param name="hidden">[rows, H]. Borrowed.</param>
    /// <param name="weight">[V, H], in the type of <paramref name="hidden"/> or float32. Borrowed.</param>
    /// <param name="temperature">Divides the logits.</param>
    /// <param name="size">Of a tile.</param>
    /// <param name="areKept">Whether a tile is used after the next has been computed.</param>
    internal LogitTiles(Tensor hidden, Tensor weight, double temperature, (long Height, long Width) size, bool areKept = false)
    {
        ((Height, Width), _hidden, _temperature) = (size, hidden, temperature);
        _weight = hidden.shape[0] > Height ? InTypeOfHidden(weight) : weight;
        _isTurned = IsFasterTurned();
        _scratch = hidden.dtype == ScalarType.Float32 && !_isTurned && !areKept ? empty([Height, Width], ScalarType.Float32, hidden.device) : null;
    }

    /// <summary>Rows of a tile; the last may be lower.</summary>
    internal long Height { get; }

    /// <summary>Tokens of a tile; the last may be narrower.</summary>
    internal long Width { get; }

    /// <summary>Rows and tokens of a tile that holds no more logits than so many rows of a vocabulary of up to <see cref="WidestChunk"/>.</summary>
    /// <param name="rows">There are.</param>
    /// <param name="vocabulary">V.</param>
    /// <param name="chunkRows">Rows whose logits may be held.</param>
    internal static (long Height, long Width) SizeOf(long rows, long vocabulary, long chunkRows)
    {
        long width = Math.Min(vocabulary, WidestTile);
        return (Math.Min(rows, chunkRows * Math.Min(vocabulary, WidestChunk) / width), width);
    }

    /// <summary>The size at which all tiles of some rows together hold no more logits than so many; of equal heights.</summary>
    /// <param name="rows">There are.</param>
    /// <param name="vocabulary">V.</param>
    /// <param name="heldLogits">Logits that may be held; one row's are in any case.</param>
    internal static (long Height, long Width) KeptSizeOf(long rows, long vocabulary, long heldLogits)
    {
        long width = Math.Min(vocabulary, WidestTile);
        long most = Math.Max(1, Math.Min(heldLogits / vocabulary, LargestTile / width));
        long parts = Math.Max(1, (rows + most - 1) / most);
        return ((rows + parts - 1) / parts, width);
    }

    /// <summary>The logits of a tile. Unless tiles are kept, the next call may overwrite them.</summary>
    /// <param name="rows">Which rows.</param>
    /// <param name="tokens">Which tokens.</param>
    /// <param name="withGradients">Whether <see cref="AddGradients"/> follows.</param>
    /// <returns>In the caller's scope.</returns>
    internal LogitTile Compute(Span rows, Span tokens, bool withGradients = false)
    {
        if (_isTurned)
        {
            return Turned(rows, tokens, withGradients);
        }

        using var scope = TensorScope.Begin(); // tiles that are kept must not keep rounded weights and products with them
        Tensor hidden = rows.Of(_hidden), weight = InTypeOfHidden(tokens.Of(_weight));
        Tensor logits = _scratch is null
            ? nn.functional.linear(hidden, weight).to(ScalarType.Float32).div_(_temperature)
            : _scratch.flatten().narrow(0, 0, rows.Count * tokens.Count).view(rows.Count, tokens.Count)
                .addmm_(hidden, weight.t(), beta: 0, alpha: (float)(1 / _temperature));
        return new LogitTile(rows, tokens, scope.Keep(logits));
    }

    /// <summary>Adds what a tile contributes to the gradients of hidden and W.</summary>
    /// <param name="hiddenGradient">[rows, H] float32, changed; null: not asked for.</param>
    /// <param name="weightGradient">[V, H] float32, changed; null: not asked for.</param>
    /// <param name="tile">Computed with gradients.</param>
    /// <param name="logitGradient">[n, w] float32, already divided by the temperature; may be the tile's logits, overwritten.</param>
    internal void AddGradients(Tensor? hiddenGradient, Tensor? weightGradient, LogitTile tile, Tensor logitGradient)
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor? ofHidden = hiddenGradient is null ? null : tile.Rows.Of(hiddenGradient), ofWeight = weightGradient is null ? null : tile.Tokens.Of(weightGradient);
        if (tile.Graph is { } graph)
        {
            Tensor[] asked = [.. ofHidden is null ? Array.Empty<Tensor>() : [graph.Hidden], .. ofWeight is null ? Array.Empty<Tensor>() : [graph.Weight]];
            IList<Tensor> found = autograd.grad([graph.Product], asked, [logitGradient.t()]);
            ofHidden?.add_(found[0]);
            ofWeight?.add_(found[^1]);
            return;
        }

        Tensor hidden = tile.Rows.Of(_hidden), rounded = logitGradient.to(_hidden.dtype);                // [n, H], [n, w]
        ofHidden?.add_(rounded.mm(InTypeOfHidden(tile.Tokens.Of(_weight))));
        if (hidden.dtype == ScalarType.Float32)
        {
            ofWeight?.addmm_(rounded.t(), hidden);
        }
        else
        {
            ofWeight?.add_(rounded.t().mm(hidden));
        }
    }

    private LogitTile Turned(Span rows, Span tokens, bool withGradients)
    {
        Tensor hidden = rows.Of(_hidden), weight = tokens.Of(_weight);
        if (!withGradients)
        {
            return new LogitTile(rows, tokens, FastLinear.Apply(weight, hidden).t().div_(_temperature));
        }

        (Tensor hiddenLeaf, Tensor weightLeaf) = (hidden.detach().requires_grad_(true), weight.detach().requires_grad_(true));
        Tensor product;
        using (enable_grad())
        {
            product = FastLinear.Apply(weightLeaf, hiddenLeaf);                                          // [w, n]
        }

        // A product's gradients do not depend on what it gave, so that may be overwritten.
        return new LogitTile(rows, tokens, product.detach().t().div_(_temperature)) { Graph = (hiddenLeaf, weightLeaf, product) };
    }

    private Tensor InTypeOfHidden(Tensor weight) => weight.dtype == _hidden.dtype ? weight : weight.to(_hidden.dtype);

    private bool IsFasterTurned()
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor hidden = _hidden.narrow(0, 0, Height), weight = _weight.narrow(0, 0, Width);
        return FastLinear.IsFasterAsConvolution(hidden, weight) && FastLinear.IsFasterAsConvolution(weight, hidden);
    }

    /// <summary>Consecutive rows of a matrix.</summary>
    /// <param name="Start">The first.</param>
    /// <param name="Count">How many.</param>
    internal readonly record struct Span(long Start, long Count)
    {
        /// <summary>From 0 to <paramref name="length"/>, so many at a time.</summary>
        internal static IEnumerable<Span> Over(long length, long step)
        {
            for (long start = 0; start < length; start += step)
            {
                yield return new Span(start, Math.Min(step, length - start));
            }
        }

        /// <summary>These rows, a view.</summary>
        internal Tensor Of(Tensor matrix) => matrix.narrow(0, Start, Count);
    }
}

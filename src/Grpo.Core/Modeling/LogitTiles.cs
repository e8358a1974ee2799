using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Modeling;

/// <summary>
/// Computes the logits z = hidden · Wᵀ / temperature in tiles of some rows and some of the vocabulary, and turns their gradients into those
/// of hidden and W.
/// </summary>
/// <remarks>
/// Tiles of a large vocabulary are nearly square, so that products are fast and a tile stays in the cache. If a product is faster as a
/// convolution (<see cref="FastLinear"/>), the tile is computed transposed, as W · hiddenᵀ. The convolution's own gradients are then those
/// of hidden and W, and none of the three products has to transpose a matrix.
/// </remarks>
internal sealed class LogitTiles
{
    // With 4 bytes per logit the largest tile is just below NativeEnvironment's large block, so its pages stay for the next one.
    private const int WidestTile = 7168;
    private const int WidestChunk = 4 * WidestTile;
    private const int LargestTile = 1024 * WidestTile;

    private readonly Tensor _hidden;
    private readonly Tensor _weight;                   // in hidden's type if several rows of tiles use it
    private readonly double _temperature;
    private readonly Tensor? _scratch;                 // holds one tile at a time, if products are not computed as convolutions
    private readonly bool _isTransposed;

    /// <summary>Creates the tiles, with a scratch buffer in the current scope if they can share one.</summary>
    /// <param name="hidden">The hidden states, [rows, H]. Borrowed.</param>
    /// <param name="weight">The output layer W, [V, H], in the type of <paramref name="hidden"/> or float32. Borrowed.</param>
    /// <param name="temperature">The temperature, which divides the logits.</param>
    /// <param name="size">The size of a tile.</param>
    /// <param name="areKept">True if a tile is used after the next one has been computed.</param>
    internal LogitTiles(Tensor hidden, Tensor weight, double temperature, (long Height, long Width) size, bool areKept = false)
    {
        ((Height, Width), _hidden, _temperature) = (size, hidden, temperature);
        _weight = hidden.shape[0] > Height ? InTypeOfHidden(weight) : weight;
        _isTransposed = IsFasterTransposed();
        _scratch = hidden.dtype == ScalarType.Float32 && !_isTransposed && !areKept
            ? empty([Height, Width], ScalarType.Float32, hidden.device)
            : null;
    }

    /// <summary>The number of rows of a tile. The last may have fewer.</summary>
    internal long Height { get; }

    /// <summary>The number of tokens of a tile. The last may have fewer.</summary>
    internal long Width { get; }

    /// <summary>
    /// Computes the size of a tile with at most as many logits as a chunk of rows of a vocabulary of up to <see cref="WidestChunk"/>.
    /// </summary>
    /// <param name="rows">The number of rows.</param>
    /// <param name="vocabulary">The size of the vocabulary, V.</param>
    /// <param name="chunkRows">The number of rows of a chunk.</param>
    internal static (long Height, long Width) SizeOf(long rows, long vocabulary, long chunkRows)
    {
        long width = Math.Min(vocabulary, WidestTile);
        return (Math.Min(rows, chunkRows * Math.Min(vocabulary, WidestChunk) / width), width);
    }

    /// <summary>Computes the size of tiles that are kept for all tokens of their rows, with equal heights.</summary>
    /// <param name="rows">The number of rows.</param>
    /// <param name="vocabulary">The size of the vocabulary, V.</param>
    /// <param name="heldLogits">The number of logits that may be held at a time. Those of one row are always held.</param>
    internal static (long Height, long Width) KeptSizeOf(long rows, long vocabulary, long heldLogits)
    {
        long width = Math.Min(vocabulary, WidestTile);
        long most = Math.Max(1, Math.Min(heldLogits / vocabulary, LargestTile / width));
        long parts = Math.Max(1, (rows + most - 1) / most);
        return ((rows + parts - 1) / parts, width);
    }

    /// <summary>Computes the logits of a tile. The next call may overwrite them, unless tiles are kept.</summary>
    /// <param name="rows">The rows of the tile.</param>
    /// <param name="tokens">The tokens of the tile.</param>
    /// <param name="withGradients">True if <see cref="AddGradients"/> follows.</param>
    /// <returns>The tile, in the caller's scope.</returns>
    internal LogitTile Compute(Span rows, Span tokens, bool withGradients = false)
    {
        if (_isTransposed)
        {
            return ComputeTransposed(rows, tokens, withGradients);
        }

        using var scope = TensorScope.Begin(); // frees rounded weights and products, which kept tiles do not need
        Tensor hidden = rows.Of(_hidden), weight = InTypeOfHidden(tokens.Of(_weight));
        Tensor logits = _scratch is null
            ? nn.functional.linear(hidden, weight).to(ScalarType.Float32).div_(_temperature)
            : _scratch.flatten().narrow(0, 0, rows.Count * tokens.Count).view(rows.Count, tokens.Count)
                .addmm_(hidden, weight.t(), beta: 0, alpha: (float)(1 / _temperature));
        return new LogitTile(rows, tokens, scope.Keep(logits));
    }

    /// <summary>Adds a tile's share of the gradients of hidden and W.</summary>
    /// <param name="hiddenGradient">The gradient of hidden, [rows, H] float32, to add to. Null if it is not needed.</param>
    /// <param name="weightGradient">The gradient of W, [V, H] float32, to add to. Null if it is not needed.</param>
    /// <param name="tile">The tile, computed with gradients.</param>
    /// <param name="logitGradient">
    /// The gradient of the logits, [n, w] float32, already divided by the temperature. It may be the tile's logits, overwritten.
    /// </param>
    internal void AddGradients(Tensor? hiddenGradient, Tensor? weightGradient, LogitTile tile, Tensor logitGradient)
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor? ofHidden = hiddenGradient is null ? null : tile.Rows.Of(hiddenGradient),
            ofWeight = weightGradient is null ? null : tile.Tokens.Of(weightGradient);
        if (tile.Graph is { } graph)
        {
            Tensor[] asked =
            [
                .. ofHidden is null ? Array.Empty<Tensor>() : [graph.Hidden],
                .. ofWeight is null ? Array.Empty<Tensor>() : [graph.Weight],
            ];
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

    private LogitTile ComputeTransposed(Span rows, Span tokens, bool withGradients)
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

        // The gradients of a product do not depend on its result, so the result may be overwritten.
        return new LogitTile(rows, tokens, product.detach().t().div_(_temperature)) { Graph = (hiddenLeaf, weightLeaf, product) };
    }

    private Tensor InTypeOfHidden(Tensor weight) => weight.dtype == _hidden.dtype ? weight : weight.to(_hidden.dtype);

    private bool IsFasterTransposed()
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor hidden = _hidden.narrow(0, 0, Height), weight = _weight.narrow(0, 0, Width);
        return FastLinear.IsFasterAsConvolution(hidden, weight) && FastLinear.IsFasterAsConvolution(weight, hidden);
    }

    /// <summary>A range of consecutive rows of a matrix.</summary>
    /// <param name="Start">The index of the first row.</param>
    /// <param name="Count">The number of rows.</param>
    internal readonly record struct Span(long Start, long Count)
    {
        /// <summary>Splits the rows from 0 to <paramref name="length"/> into ranges of <paramref name="step"/> rows.</summary>
        internal static IEnumerable<Span> Over(long length, long step)
        {
            for (long start = 0; start < length; start += step)
            {
                yield return new Span(start, Math.Min(step, length - start));
            }
        }

        /// <summary>Returns a view of these rows of a matrix.</summary>
        internal Tensor Of(Tensor matrix) => matrix.narrow(0, Start, Count);
    }
}

/// <summary>The logits of some rows and some of the vocabulary, computed by <see cref="LogitTiles"/>.</summary>
/// <param name="Rows">The n rows.</param>
/// <param name="Tokens">The w tokens.</param>
/// <param name="Logits">The logits, [n, w] float32. The caller may overwrite them.</param>
internal sealed record LogitTile(LogitTiles.Span Rows, LogitTiles.Span Tokens, Tensor Logits)
{
    /// <summary>
    /// The product of the logits, [w, n], and its factors, [n, H] and [w, H], for backpropagation. Null if the gradients are computed by
    /// explicit products.
    /// </summary>
    internal (Tensor Hidden, Tensor Weight, Tensor Product)? Graph { get; init; }
}

using TorchSharp;
using static TorchSharp.torch;

namespace Grpo;

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

    private readonly Tensor _hidden;
    private readonly Tensor _weight;                   // in hidden's type where it serves several rows of tiles
    private readonly double _temperature;
    private readonly Tensor? _scratch;                 // where products are no convolutions
    private readonly bool _isTurned;
    private (Tensor Hidden, Tensor Weight, Tensor Product)? _last;   // of the last tile that was turned, with gradients: [n, H], [w, H], [w, n]

    /// <summary>Makes the buffer that all tiles share where they can, in the current scope.</summary>
    /// <param name="hidden">[rows, H]. Borrowed.</param>
    /// <param name="weight">[V, H], in the type of <paramref name="hidden"/> or float32. Borrowed.</param>
    /// <param name="settings">Temperature and size.</param>
    internal LogitTiles(Tensor hidden, Tensor weight, TokenLogProbsFunction.Settings settings)
    {
        (Height, Width) = SizeOf(hidden.shape[0], weight.shape[0], settings.ChunkRows);
        (_hidden, _temperature) = (hidden, settings.Temperature);
        _weight = hidden.shape[0] > Height ? InTypeOfHidden(weight) : weight;
        _isTurned = IsFasterTurned();
        _scratch = hidden.dtype == ScalarType.Float32 && !_isTurned ? empty([Height, Width], ScalarType.Float32, hidden.device) : null;
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

    /// <summary>The logits of a tile. The next call may overwrite them.</summary>
    /// <param name="rows">Which rows.</param>
    /// <param name="tokens">Which tokens.</param>
    /// <param name="withGradients">Whether <see cref="AddGradients"/> follows, in the same scope.</param>
    /// <returns>[n, w] float32, the caller's to overwrite, in the caller's scope.</returns>
    internal Tensor Compute(Span rows, Span tokens, bool withGradients = false)
    {
        Tensor hidden = rows.Of(_hidden), weight = InTypeOfHidden(tokens.Of(_weight));
        if (_isTurned)
        {
            return Turned(hidden, weight, withGradients).t().div_(_temperature);
        }

        return _scratch is null
            ? nn.functional.linear(hidden, weight).to(ScalarType.Float32).div_(_temperature)
            : _scratch.flatten().narrow(0, 0, rows.Count * tokens.Count).view(rows.Count, tokens.Count)
                .addmm_(hidden, weight.t(), beta: 0, alpha: (float)(1 / _temperature));
    }

    /// <summary>Adds what the tile that was computed last contributes to the gradients of hidden and W.</summary>
    /// <param name="hiddenGradient">[rows, H] float32, changed; null: not asked for.</param>
    /// <param name="weightGradient">[V, H] float32, changed; null: not asked for.</param>
    /// <param name="rows">Which rows.</param>
    /// <param name="tokens">Which tokens.</param>
    /// <param name="logitGradient">[n, w] float32, already divided by the temperature; may be the logits, overwritten.</param>
    internal void AddGradients(Tensor? hiddenGradient, Tensor? weightGradient, Span rows, Span tokens, Tensor logitGradient)
    {
        using var scope = TensorScope.BeginNoGrad();
        if (_last is { } turned)
        {
            Tensor gradient = logitGradient.t();                                                         // [w, n]
            Tensor[] asked = [.. hiddenGradient is null ? Array.Empty<Tensor>() : [turned.Hidden], .. weightGradient is null ? Array.Empty<Tensor>() : [turned.Weight]];
            IList<Tensor> found = autograd.grad([turned.Product], asked, [gradient]);
            _ = hiddenGradient is null ? null : rows.Of(hiddenGradient).add_(found[0]);
            _ = weightGradient is null ? null : tokens.Of(weightGradient).add_(found[^1]);
            _last = null;
            return;
        }

        Tensor hidden = rows.Of(_hidden), rounded = logitGradient.to(_hidden.dtype);                     // [n, H], [n, w]
        if (hiddenGradient is not null)
        {
            rows.Of(hiddenGradient).add_(rounded.mm(InTypeOfHidden(tokens.Of(_weight))));
        }

        if (weightGradient is not null)
        {
            _ = hidden.dtype == ScalarType.Float32
                ? tokens.Of(weightGradient).addmm_(rounded.t(), hidden)
                : tokens.Of(weightGradient).add_(rounded.t().mm(hidden));
        }
    }

    // [w, n], without a gradient of its own: what it is overwritten with concerns nobody who goes back through the product.
    private Tensor Turned(Tensor hidden, Tensor weight, bool withGradients)
    {
        if (!withGradients)
        {
            return FastLinear.Apply(weight, hidden);
        }

        using IDisposable recording = enable_grad();
        (Tensor hiddenLeaf, Tensor weightLeaf) = (hidden.detach().requires_grad_(true), weight.detach().requires_grad_(true));
        Tensor product = FastLinear.Apply(weightLeaf, hiddenLeaf);
        _last = (hiddenLeaf, weightLeaf, product);
        return product.detach();
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

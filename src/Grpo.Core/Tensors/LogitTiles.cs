using TorchSharp;
using static TorchSharp.torch;

namespace Grpo;

/// <summary>
/// The logits of some rows against some of the vocabulary at a time, z = hidden · Wᵀ / temperature, and the products that turn their gradients into
/// those of hidden and W. Tiles of a large vocabulary are nearly square: a product is fast then, and a tile stays in the cache.
/// </summary>
internal sealed class LogitTiles
{
    private const int WidestTile = 8192;
    private const int WidestChunk = 32_768;

    private readonly Tensor _hidden;
    private readonly Tensor _weight;                   // in hidden's type where it serves several rows of tiles
    private readonly double _temperature;
    private readonly Tensor? _scratch;

    /// <summary>Makes the buffer that all tiles share where they can, in the current scope.</summary>
    /// <param name="hidden">[rows, H]. Borrowed.</param>
    /// <param name="weight">[V, H], in the type of <paramref name="hidden"/> or float32. Borrowed.</param>
    /// <param name="settings">Temperature and size.</param>
    internal LogitTiles(Tensor hidden, Tensor weight, TokenLogProbsFunction.Settings settings)
    {
        (Height, Width) = SizeOf(hidden.shape[0], weight.shape[0], settings.ChunkRows);
        (_hidden, _temperature) = (hidden, settings.Temperature);
        _weight = hidden.shape[0] > Height ? InTypeOfHidden(weight) : weight;
        _scratch = hidden.dtype == ScalarType.Float32 && !IsFast(Height, Width)
            ? empty([Height, Width], ScalarType.Float32, hidden.device)
            : null;
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
    /// <returns>[n, w] float32, the caller's to overwrite, in the caller's scope.</returns>
    internal Tensor Compute(Span rows, Span tokens)
    {
        Tensor hidden = rows.Of(_hidden), weight = InTypeOfHidden(tokens.Of(_weight));
        return _scratch is null
            ? FastLinear.Apply(hidden, weight).to(ScalarType.Float32).div_(_temperature)
            : _scratch.flatten().narrow(0, 0, rows.Count * tokens.Count).view(rows.Count, tokens.Count)
                .addmm_(hidden, weight.t(), beta: 0, alpha: (float)(1 / _temperature));
    }

    /// <summary>Adds what a tile contributes to the gradient of hidden.</summary>
    /// <param name="gradient">[rows, H] float32; changed.</param>
    /// <param name="rows">Which rows.</param>
    /// <param name="tokens">Which tokens.</param>
    /// <param name="logitGradient">[n, w] float32, already divided by the temperature.</param>
    internal void AddHiddenGradient(Tensor gradient, Span rows, Span tokens, Tensor logitGradient)
    {
        using var scope = TensorScope.BeginNoGrad();
        rows.Of(gradient).add_(FastLinear.Apply(logitGradient.to(_hidden.dtype), InTypeOfHidden(tokens.Of(_weight)).t()));
    }

    /// <summary>Adds what a tile contributes to the gradient of W.</summary>
    /// <param name="gradient">[V, H] float32; changed.</param>
    /// <param name="rows">Which rows.</param>
    /// <param name="tokens">Which tokens.</param>
    /// <param name="logitGradient">[n, w] float32, already divided by the temperature.</param>
    internal void AddWeightGradient(Tensor gradient, Span rows, Span tokens, Tensor logitGradient)
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor hidden = rows.Of(_hidden), transposed = logitGradient.to(_hidden.dtype).t();              // [n, H], [w, n]
        if (FastLinear.IsFasterAsConvolution(transposed, hidden.t()))
        {
            tokens.Of(gradient).add_(FastLinear.Apply(transposed, hidden.t()));
        }
        else if (hidden.dtype == ScalarType.Float32)
        {
            tokens.Of(gradient).addmm_(transposed, hidden);
        }
        else
        {
            tokens.Of(gradient).add_(transposed.mm(hidden));
        }
    }

    private Tensor InTypeOfHidden(Tensor weight) => weight.dtype == _hidden.dtype ? weight : weight.to(_hidden.dtype);

    private bool IsFast(long rows, long tokens)
    {
        using var scope = TensorScope.BeginNoGrad();
        return FastLinear.IsFasterAsConvolution(_hidden.narrow(0, 0, rows), _weight.narrow(0, 0, tokens));
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

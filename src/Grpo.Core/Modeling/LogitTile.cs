using static TorchSharp.torch;

namespace Grpo.Modeling;

/// <summary>The logits of some rows against some of the vocabulary, as <see cref="LogitTiles"/> computes them.</summary>
/// <param name="Rows">n of them.</param>
/// <param name="Tokens">w of them.</param>
/// <param name="Logits">[n, w] float32, to be overwritten by whoever asked for them.</param>
internal sealed record LogitTile(LogitTiles.Span Rows, LogitTiles.Span Tokens, Tensor Logits)
{
    /// <summary>
    /// The product that gave the logits, [w, n], and its factors, [n, H] and [w, H], to go back through; null where the gradients are products of their own.
    /// </summary>
    internal (Tensor Hidden, Tensor Weight, Tensor Product)? Graph { get; init; }
}

using static TorchSharp.torch;

namespace Grpo.Modeling;

/// <summary>The indices of the rows' targets among the tokens of a tile, for gather and scatter.</summary>
/// <param name="columns">
/// The indices, [n, 1] int64, counted from the tile's first token. Arbitrary if the target is in another tile.
/// </param>
/// <param name="areElsewhere">True for each row whose target is in another tile, [n, 1] bool.</param>
internal readonly struct TargetIndices(Tensor columns, Tensor areElsewhere)
{
    /// <summary>Finds the indices. In the caller's scope.</summary>
    /// <param name="tokens">The tokens of the tile.</param>
    /// <param name="targets">The target of each row, [n] int64. Borrowed.</param>
    internal static TargetIndices In(LogitTiles.Span tokens, Tensor targets)
    {
        Tensor columns = (targets - tokens.Start).unsqueeze(1);
        return new TargetIndices(columns.clamp(0, tokens.Count - 1), columns.lt(0).bitwise_or_(columns.ge(tokens.Count)));
    }

    /// <summary>Gathers the logits of the targets in this tile and adds them to a sum over all tiles.</summary>
    /// <param name="sum">The sum, [n, 1] float32, to add to.</param>
    /// <param name="logits">The logits of the tile, [n, w] float32. Borrowed.</param>
    internal void GatherAdd(Tensor sum, Tensor logits) => sum.add_(logits.gather(1, columns).masked_fill_(areElsewhere, 0));

    /// <summary>Scatters one number per row: adds it to the logit of the row's target.</summary>
    /// <param name="numbers">The numbers, [n, 1] float32. Borrowed.</param>
    /// <param name="logits">The logits of the tile, [n, w] float32, to add to.</param>
    internal void ScatterAdd(Tensor numbers, Tensor logits) => logits.scatter_add_(1, columns, numbers.masked_fill(areElsewhere, 0));
}

using static TorchSharp.torch;

namespace Grpo.Modeling;

/// <summary>Where the targets of some rows are among the tokens of a tile.</summary>
/// <param name="columns">[n, 1] int64: counted from the tile's first token; any column where the target is in another tile.</param>
/// <param name="areElsewhere">[n, 1] bool: whether it is.</param>
internal readonly struct TargetPlaces(Tensor columns, Tensor areElsewhere)
{
    /// <summary>Finds them. In the caller's scope.</summary>
    /// <param name="tokens">The tile's.</param>
    /// <param name="targets">[n] int64. Borrowed.</param>
    internal static TargetPlaces In(LogitTiles.Span tokens, Tensor targets)
    {
        Tensor columns = (targets - tokens.Start).unsqueeze(1);
        return new TargetPlaces(columns.clamp(0, tokens.Count - 1), columns.lt(0).logical_or_(columns.ge(tokens.Count)));
    }

    /// <summary>Adds the targets' logits to a sum of theirs over all tiles.</summary>
    /// <param name="sum">[n, 1] float32; changed.</param>
    /// <param name="logits">[n, w] float32. Borrowed.</param>
    internal void AddTo(Tensor sum, Tensor logits) => sum.add_(logits.gather(1, columns).masked_fill_(areElsewhere, 0));

    /// <summary>Adds a number a row to the targets' logits.</summary>
    /// <param name="numbers">[n, 1] float32. Borrowed.</param>
    /// <param name="logits">[n, w] float32; changed.</param>
    internal void Spread(Tensor numbers, Tensor logits) => logits.scatter_add_(1, columns, numbers.masked_fill(areElsewhere, 0));
}

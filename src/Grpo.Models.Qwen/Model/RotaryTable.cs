using Grpo.Models.Qwen.Config;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Model;

/// <summary>
/// The rotary tables of all positions of a decoding session. A token step then looks up its rows, instead of some twenty operations that
/// compute them.
/// </summary>
internal sealed class RotaryTable : IDisposable
{
    private readonly Tensor _table;                    // [capacity, 2, D]: cosines, then sines with the sign of the rotation

    /// <param name="config">The configuration of the model.</param>
    /// <param name="capacity">The number of positions.</param>
    /// <param name="type">The type of the tables.</param>
    /// <param name="device">The device of the tables.</param>
    internal RotaryTable(DecoderConfig config, int capacity, ScalarType type, Device device)
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor positions = arange(capacity, ScalarType.Int64, device).unsqueeze(1);
        (Tensor cosine, Tensor signedSine) = RotaryEmbedding.Tables(positions, config, type);            // [capacity, 1, 1, D]
        _table = scope.Release(cat([cosine.squeeze(1), signedSine.squeeze(1)], 1));
    }

    /// <summary>Looks up the tables of some positions.</summary>
    /// <param name="positions">The positions, [B, 1] int64, below the capacity. Borrowed.</param>
    /// <returns>Two tensors [B, 1, 1, D] in the caller's scope, with the numbers of <see cref="RotaryEmbedding.Tables"/>.</returns>
    internal (Tensor Cosine, Tensor SignedSine) At(Tensor positions)
    {
        TensorGuard.RequireSameDevice(positions, nameof(positions), _table);
        using var scope = TensorScope.BeginNoGrad();
        Tensor rows = _table.index_select(0, positions.view(-1)).view(-1, 1, 2, _table.shape[2]);        // [B, 1, 2, D]
        return (scope.Keep(rows.narrow(2, 0, 1)), scope.Keep(rows.narrow(2, 1, 1)));
    }

    public void Dispose() => _table.Dispose();
}

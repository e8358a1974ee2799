using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>Keys and values of every layer for B rows, allocated once for all positions that will be needed.</summary>
/// <remarks>Owns 2·L tensors [B, K, capacity, D] outside every scope; freed in Dispose.</remarks>
internal sealed class KeyValueCache : IDisposable
{
    private readonly Tensor[] _keys;
    private readonly Tensor[] _values;
    private readonly long _groupSize;

    /// <param name="config">The model.</param>
    /// <param name="prompts">Rows of the first write, N.</param>
    /// <param name="groupSize">Copies of each such row, G; B = N·G.</param>
    /// <param name="capacity">Positions.</param>
    /// <param name="place">Device and type of the hidden states.</param>
    internal KeyValueCache(Qwen2Config config, long prompts, long groupSize, long capacity, ParameterPlace place)
    {
        _groupSize = groupSize;
        Capacity = capacity;
        _keys = new Tensor[config.LayerCount];
        _values = new Tensor[config.LayerCount];
        long[] shape = [prompts * groupSize, config.KeyValueHeadCount, capacity, config.HeadWidth];
        for (int layer = 0; layer < config.LayerCount; layer++)
        {
            _keys[layer] = empty(shape, place.Type, place.Device).DetachFromDisposeScope();
            _values[layer] = empty(shape, place.Type, place.Device).DetachFromDisposeScope();
        }
    }

    /// <summary>Positions that fit.</summary>
    internal long Capacity { get; }

    /// <summary>Positions written in every layer.</summary>
    internal long Length { get; private set; }

    /// <summary>Writes the prompts' keys and values, each row to the G rows of its group.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="keys">[N, K, P, D].</param>
    /// <param name="values">[N, K, P, D].</param>
    internal void WritePrompts(int layer, Tensor keys, Tensor values)
    {
        using var scope = TensorScope.BeginNoGrad();
        Spread(keys, _keys[layer]);
        Spread(values, _values[layer]);
    }

    /// <summary>Writes one position at <see cref="Length"/>.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="keys">[B, K, 1, D].</param>
    /// <param name="values">[B, K, 1, D].</param>
    /// <returns>Views of everything cached so far and the new position, [B, K, Length + 1, D], in the caller's scope.</returns>
    internal (Tensor Keys, Tensor Values) Append(int layer, Tensor keys, Tensor values)
    {
        using var scope = TensorScope.BeginNoGrad();
        _keys[layer].narrow(2, Length, 1).copy_(keys);
        _values[layer].narrow(2, Length, 1).copy_(values);
        return (scope.Keep(_keys[layer].narrow(2, 0, Length + 1)), scope.Keep(_values[layer].narrow(2, 0, Length + 1)));
    }

    /// <summary>Counts positions as written, once all layers have them.</summary>
    internal void Commit(long positions) => Length += positions;

    /// <summary>Drops all rows but these, one layer at a time, so that little more than the final size is ever held.</summary>
    /// <param name="rows">[b] int64.</param>
    internal void KeepRows(Tensor rows)
    {
        foreach (Tensor[] layers in new[] { _keys, _values })
        {
            for (int layer = 0; layer < layers.Length; layer++)
            {
                using var scope = TensorScope.BeginNoGrad();
                Tensor kept = scope.Release(layers[layer].index_select(0, rows));
                layers[layer].Dispose();
                layers[layer] = kept;
            }
        }
    }

    public void Dispose()
    {
        foreach (Tensor tensor in _keys.Concat(_values))
        {
            tensor.Dispose();
        }
    }

    private void Spread(Tensor source, Tensor destination)
    {
        long[] shape = source.shape;                                                                     // [N, K, P, D]
        Tensor groups = destination.view(shape[0], _groupSize, shape[1], Capacity, shape[3]);
        groups.narrow(3, 0, shape[2]).copy_(source.unsqueeze(1));
    }
}

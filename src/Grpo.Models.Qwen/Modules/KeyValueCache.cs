using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>
/// Keys and values of the sequences that are being decoded, one preallocated tensor each per layer. Every row starts at position 0 and has a
/// length of its own, so a row can leave and another take its place while the others go on.
/// </summary>
internal sealed class KeyValueCache : IDisposable
{
    private readonly Tensor[] _keys;                   // per layer [slots, K, capacity, D]
    private readonly Tensor[] _values;
    private readonly List<int> _lengths = [];

    /// <param name="config">The model.</param>
    /// <param name="slots">Rows that fit.</param>
    /// <param name="capacity">Positions that fit in a row.</param>
    /// <param name="place">Device and type of the hidden states.</param>
    internal KeyValueCache(Qwen2Config config, int slots, int capacity, ParameterPlace place)
    {
        Slots = slots;
        Capacity = capacity;
        _keys = new Tensor[config.LayerCount];
        _values = new Tensor[config.LayerCount];
        long[] shape = [slots, config.KeyValueHeadCount, capacity, config.HeadWidth];
        try
        {
            for (int layer = 0; layer < config.LayerCount; layer++)
            {
                // Zeros: positions behind a row's end are masked, but a NaN that memory happens to hold would pass the mask as 0 · NaN.
                _keys[layer] = zeros(shape, place.Type, place.Device).DetachFromDisposeScope();
                _values[layer] = zeros(shape, place.Type, place.Device).DetachFromDisposeScope();
            }
        }
        catch
        {
            Dispose(); // out of memory half way
            throw;
        }
    }

    /// <summary>Rows that fit.</summary>
    internal int Slots { get; }

    /// <summary>Positions that fit in a row.</summary>
    internal int Capacity { get; }

    /// <summary>Positions written of each row.</summary>
    internal IReadOnlyList<int> Lengths => _lengths;

    /// <summary>Positions written of the longest row.</summary>
    internal int Longest => _lengths.Max();

    /// <summary>Whether all rows are equally long, so that none needs a mask.</summary>
    internal bool IsUniform => _lengths.TrueForAll(length => length == _lengths[0]);

    /// <summary>Writes prompts behind the present rows, each to the G rows of its group. <see cref="CommitPrompts"/> makes them rows.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="keys">[N, K, P, D], padded on the right.</param>
    /// <param name="values">[N, K, P, D].</param>
    /// <param name="groupSize">Rows of a prompt, G.</param>
    internal void WritePrompts(int layer, Tensor keys, Tensor values, int groupSize)
    {
        using var scope = TensorScope.BeginNoGrad();
        Spread(keys, _keys[layer], groupSize);
        Spread(values, _values[layer], groupSize);
    }

    /// <summary>Counts the prompts as rows, once all layers have them.</summary>
    /// <param name="lengths">Tokens of each prompt.</param>
    /// <param name="groupSize">Rows of a prompt, G.</param>
    internal void CommitPrompts(IReadOnlyList<int> lengths, int groupSize) =>
        _lengths.AddRange(lengths.SelectMany(length => Enumerable.Repeat(length, groupSize)));

    /// <summary>Writes one position behind the end of each row.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="keys">[B, K, 1, D].</param>
    /// <param name="values">[B, K, 1, D].</param>
    /// <param name="places">The positions, [B, K, 1, D] int64; null when the rows are equally long.</param>
    /// <returns>Views of the rows up to the longest one's new position, [B, K, <see cref="Longest"/> + 1, D], in the caller's scope.</returns>
    internal (Tensor Keys, Tensor Values) Append(int layer, Tensor keys, Tensor values, Tensor? places)
    {
        using var scope = TensorScope.BeginNoGrad();
        return (scope.Keep(Append(_keys[layer], keys, places)), scope.Keep(Append(_values[layer], values, places)));
    }

    /// <summary>Keys and values of a layer, [slots, K, capacity, D] each. Borrowed.</summary>
    internal (Tensor Keys, Tensor Values) Layer(int layer) => (_keys[layer], _values[layer]);

    /// <summary>Counts the positions as written, once all layers have them.</summary>
    internal void CommitNext()
    {
        for (int row = 0; row < _lengths.Count; row++)
        {
            _lengths[row]++;
        }
    }

    /// <summary>Drops all rows but these, which become rows 0, 1, 2 … A row that keeps its number is not moved.</summary>
    /// <param name="rows">Present rows, each at most once.</param>
    internal void KeepRows(IReadOnlyList<int> rows)
    {
        int[] moved = [.. Enumerable.Range(0, rows.Count).Where(row => rows[row] != row)];
        if (moved.Length > 0)
        {
            using var scope = TensorScope.BeginNoGrad();
            Tensor from = tensor(moved.Select(row => (long)rows[row]).ToArray()).to(_keys[0].device);            // [m]
            Tensor to = tensor(moved.Select(row => (long)row).ToArray()).to(_keys[0].device);                    // [m]
            int used = rows.Max(row => _lengths[row]);
            foreach (Tensor layer in _keys.Concat(_values))
            {
                using Tensor written = layer.narrow(2, 0, used);
                using Tensor copies = written.index_select(0, from); // before the first is overwritten
                written.index_copy_(0, to, copies);
            }
        }

        int[] lengths = [.. rows.Select(row => _lengths[row])];
        _lengths.Clear();
        _lengths.AddRange(lengths);
    }

    public void Dispose()
    {
        foreach (Tensor? tensor in _keys.Concat(_values))
        {
            tensor?.Dispose();
        }
    }

    private void Spread(Tensor source, Tensor destination, int groupSize)
    {
        long[] shape = source.shape;                                                                     // [N, K, P, D]
        destination.narrow(0, _lengths.Count, shape[0] * groupSize)
            .view(shape[0], groupSize, shape[1], Capacity, shape[3])
            .narrow(3, 0, shape[2]).copy_(source.unsqueeze(1));
    }

    private Tensor Append(Tensor cache, Tensor positions, Tensor? places)
    {
        Tensor rows = cache.narrow(0, 0, _lengths.Count);
        int longest = Longest;
        if (places is null)
        {
            rows.narrow(2, longest, 1).copy_(positions);
        }
        else
        {
            rows.scatter_(2, places, positions);
        }

        return rows.narrow(2, 0, longest + 1);
    }
}

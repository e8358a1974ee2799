using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Cpu;
using Grpo.Models.Qwen.Tensors;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Model;

/// <summary>The keys and values of the sequences that are being decoded, in one preallocated tensor each per layer.</summary>
/// <remarks>
/// Every row starts at position 0 and has its own length. So a finished row can be evicted and a new one admitted
/// while the others continue.
/// </remarks>
internal sealed class KeyValueCache : IDisposable
{
    private readonly Tensor[] _keys;                   // per layer [slots, K, capacity, D]
    private readonly Tensor[] _values;
    private readonly List<int> _lengths = [];
    private readonly List<CachedPrompt> _prompts = []; // of each row
    private int _promptCount;

    /// <param name="config">The configuration of the model.</param>
    /// <param name="slots">The number of rows that fit.</param>
    /// <param name="capacity">The number of positions that fit in a row.</param>
    /// <param name="placement">The device and type of the hidden states.</param>
    internal KeyValueCache(DecoderConfig config, int slots, int capacity, ParameterPlacement placement)
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
                // Zeros: positions after a row's end are masked, but a NaN in uninitialized memory would survive the mask as 0 · NaN.
                _keys[layer] = zeros(shape, placement.Type, placement.Device).DetachFromDisposeScope();
                _values[layer] = zeros(shape, placement.Type, placement.Device).DetachFromDisposeScope();
            }
        }
        catch
        {
            Dispose(); // out of memory: free the tensors so far
            throw;
        }
    }

    /// <summary>The number of rows that fit.</summary>
    internal int Slots { get; }

    /// <summary>The number of positions that fit in a row.</summary>
    internal int Capacity { get; }

    /// <summary>The number of positions written in each row.</summary>
    internal IReadOnlyList<int> Lengths => _lengths;

    /// <summary>The prompt with which each row begins. Rows with the same prompt hold the same keys and values for it.</summary>
    internal IReadOnlyList<CachedPrompt> Prompts => _prompts;

    /// <summary>The number of positions written in the longest row.</summary>
    internal int Longest => _lengths.Max();

    /// <summary>True if all rows have the same length, so that no mask is needed.</summary>
    internal bool IsUniform => _lengths.TrueForAll(length => length == _lengths[0]);

    /// <summary>
    /// Writes prompts after the present rows, each to the G rows of its group. <see cref="CommitPrompts"/> then counts them as rows.
    /// </summary>
    /// <param name="layer">The index of the layer.</param>
    /// <param name="keys">The keys, [N, K, P, D], padded on the right.</param>
    /// <param name="values">The values, [N, K, P, D].</param>
    /// <param name="groupSize">The number of rows of each prompt, G.</param>
    internal void WritePrompts(int layer, Tensor keys, Tensor values, int groupSize)
    {
        using var scope = TensorScope.BeginNoGrad();
        Spread(keys, _keys[layer], groupSize);
        Spread(values, _values[layer], groupSize);
    }

    /// <summary>Counts the prompts as rows, after all layers have written them.</summary>
    /// <param name="lengths">The number of tokens of each prompt.</param>
    /// <param name="groupSize">The number of rows of each prompt, G.</param>
    internal void CommitPrompts(IReadOnlyList<int> lengths, int groupSize)
    {
        _lengths.AddRange(lengths.SelectMany(length => Enumerable.Repeat(length, groupSize)));
        _prompts.AddRange(lengths.SelectMany(length => Enumerable.Repeat(new CachedPrompt(_promptCount++, length), groupSize)));
    }

    /// <summary>Writes one position at the end of each row.</summary>
    /// <param name="layer">The index of the layer.</param>
    /// <param name="keys">The keys, [B, K, 1, D].</param>
    /// <param name="values">The values, [B, K, 1, D].</param>
    /// <param name="indices">The positions as scatter indices, [B, K, 1, D] int64; null if all rows have the same length.</param>
    /// <returns>
    /// Views of all rows up to the new position of the longest one, [B, K, <see cref="Longest"/> + 1, D], in the caller's scope.
    /// </returns>
    internal (Tensor Keys, Tensor Values) Append(int layer, Tensor keys, Tensor values, Tensor? indices)
    {
        using var scope = TensorScope.BeginNoGrad();
        return (scope.Keep(Append(_keys[layer], keys, indices)), scope.Keep(Append(_values[layer], values, indices)));
    }

    /// <summary>Returns the keys and values of a layer, [slots, K, capacity, D] each. Borrowed.</summary>
    internal (Tensor Keys, Tensor Values) Layer(int layer) => (_keys[layer], _values[layer]);

    /// <summary>Counts the new positions as written, after all layers have written them.</summary>
    internal void CommitNext()
    {
        for (int row = 0; row < _lengths.Count; row++)
        {
            _lengths[row]++;
        }
    }

    /// <summary>
    /// Evicts all other rows. The rows that are kept become rows 0, 1, 2, … in the given order; one that keeps its number is not copied.
    /// </summary>
    /// <param name="rows">The rows to keep, each at most once.</param>
    internal void KeepRows(IReadOnlyList<int> rows)
    {
        int[] moved = [.. Enumerable.Range(0, rows.Count).Where(row => rows[row] != row)];
        if (moved.Length > 0)
        {
            using var scope = TensorScope.BeginNoGrad();
            Tensor from = DeviceTransfer.ToDevice([.. moved.Select(row => (long)rows[row])], _keys[0].device);  // [m]
            Tensor to = DeviceTransfer.ToDevice([.. moved.Select(row => (long)row)], _keys[0].device);          // [m]
            int used = rows.Max(row => _lengths[row]);
            foreach (Tensor layer in _keys.Concat(_values))
            {
                using Tensor written = layer.narrow(2, 0, used);
                using Tensor copies = written.index_select(0, from); // before the first is overwritten
                written.index_copy_(0, to, copies);
            }
        }

        Keep(_lengths, rows);
        Keep(_prompts, rows);
    }

    private static void Keep<T>(List<T> all, IReadOnlyList<int> rows)
    {
        T[] kept = [.. rows.Select(row => all[row])];
        all.Clear();
        all.AddRange(kept);
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
        TensorGuard.RequireSameDevice(source, nameof(source), destination); // copy_ would copy it silently
        long[] shape = source.shape;                                                                     // [N, K, P, D]
        destination.narrow(0, _lengths.Count, shape[0] * groupSize)
            .view(shape[0], groupSize, shape[1], Capacity, shape[3])
            .narrow(3, 0, shape[2]).copy_(source.unsqueeze(1));
    }

    private Tensor Append(Tensor cache, Tensor positions, Tensor? indices)
    {
        TensorGuard.RequireSameDevice(positions, nameof(positions), cache);
        Tensor rows = cache.narrow(0, 0, _lengths.Count);
        int longest = Longest;
        if (indices is null)
        {
            rows.narrow(2, longest, 1).copy_(positions);
        }
        else
        {
            rows.scatter_(2, indices, positions);
        }

        return rows.narrow(2, 0, longest + 1);
    }
}

/// <summary>A prompt that rows of a cache begin with.</summary>
/// <param name="Number">The number of the prompt in the order of their arrival.</param>
/// <param name="Length">The number of its tokens.</param>
internal readonly record struct CachedPrompt(int Number, int Length);

/// <summary>The way in which one forward pass uses a key/value cache.</summary>
/// <param name="Cache">The cache.</param>
internal abstract record CachePass(KeyValueCache Cache)
{
    /// <summary>A pass over whole prompts, padded on the right, that writes them after the present rows.</summary>
    /// <param name="Cache">The cache.</param>
    /// <param name="GroupSize">The number of rows of each prompt, G.</param>
    internal sealed record Prompts(KeyValueCache Cache, int GroupSize) : CachePass(Cache);

    /// <summary>A pass over one new token of every row, which attends to the cached tokens of its row.</summary>
    /// <param name="Cache">The cache.</param>
    /// <param name="Indices">
    /// The positions that are written, as scatter indices, [B, K, 1, D] int64; null if all rows have the same length.
    /// </param>
    /// <param name="Int8">The weights in 8 bits that replace the model's own; null means the model's own.</param>
    internal sealed record NextTokens(KeyValueCache Cache, Tensor? Indices, Int8Weights? Int8) : CachePass(Cache);
}

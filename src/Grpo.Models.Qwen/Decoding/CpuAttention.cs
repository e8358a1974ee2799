using System.Runtime.CompilerServices;
using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Cpu;
using Grpo.Models.Qwen.Model;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Decoding;

/// <summary>Attention of one new token per row over a key/value cache in main memory.</summary>
/// <remarks>
/// A call handles one key head of some rows with all query heads that share it. Rows with the same prompt read the prompt's keys and values
/// once. Each row's sums run over its tokens in order, so its result does not depend on the rows beside it.
/// </remarks>
/// <typeparam name="T">The vectors of the processor.</typeparam>
internal sealed unsafe class CpuAttention<T> : IDisposable
    where T : unmanaged, IFloats<T>
{
    /// <summary>The largest number of rows in a call.</summary>
    internal const int MaxRows = 8;

    private const int Tile = SkinnyKernel.Tile;
    private const int Lanes = SkinnyKernel.Lanes;

    private readonly KeyValueCache _cache;
    private readonly IReadOnlyList<CpuLayer> _layers;  // for the norms of their heads
    private readonly float _epsilon;
    private readonly int _keyValueHeads;
    private readonly int _group;                       // query heads per key head
    private readonly int _paddedGroup;
    private readonly int _width;                       // D
    private readonly int _stride;                      // between the scores of two query heads
    private readonly Tensor _cosines;                  // [1, capacity, 1, D]
    private readonly Tensor _signedSines;
    private readonly Tensor _scratch;                  // per thread: queries and two results [heads, D], scores [heads, stride]
    private readonly int _scratchHeads;
    private readonly int _scratchSize;
    private readonly float*[] _keys;                   // per layer, [slots, K, capacity, D]
    private readonly float*[] _values;
    private readonly float* _cosine;
    private readonly float* _sine;
    private readonly float* _temporary;

    /// <param name="config">The configuration of a model whose heads are a multiple of 32 wide.</param>
    /// <param name="cache">The cache, float32 on the CPU. Borrowed.</param>
    /// <param name="layers">The layers of the model.</param>
    /// <param name="threads">The number of threads that will call.</param>
    internal CpuAttention(DecoderConfig config, KeyValueCache cache, IReadOnlyList<CpuLayer> layers, int threads)
    {
        using var scope = TensorScope.BeginNoGrad();
        _cache = cache;
        _layers = layers;
        _epsilon = (float)config.RmsNormEpsilon;
        _keyValueHeads = config.KeyValueHeadCount;
        _group = config.AttentionHeadCount / _keyValueHeads;
        _paddedGroup = (_group + Tile - 1) / Tile * Tile;
        _width = config.HeadWidth;
        // An odd number of lines: the scores of many heads at one position would otherwise compete for the same places of the cache.
        _stride = (((cache.Capacity + Lanes - 1) / Lanes) | 1) * Lanes;
        (_cosines, _signedSines) = RotaryEmbedding.Tables(
            arange(cache.Capacity, ScalarType.Int64).unsqueeze(0), config, ScalarType.Float32);
        _scratchHeads = (Math.Min(MaxRows, cache.Slots) * _group) + _paddedGroup; // tiles reach over the last head
        _scratchSize = _scratchHeads * ((3 * _width) + _stride);
        _scratch = zeros([threads, _scratchSize], ScalarType.Float32);
        _keys = new float*[config.LayerCount];
        _values = new float*[config.LayerCount];
        for (int layer = 0; layer < config.LayerCount; layer++)
        {
            (Tensor keys, Tensor values) = cache.Layer(layer);
            _keys[layer] = CpuMemory.Address(keys);
            _values[layer] = CpuMemory.Address(values);
        }

        _cosine = CpuMemory.Address(_cosines);
        _sine = CpuMemory.Address(_signedSines);
        _temporary = CpuMemory.Address(_scratch);
        scope.Release(_cosines);
        scope.Release(_signedSines);
        scope.Release(_scratch);
    }

    /// <summary>
    /// Normalizes the queries and keys of one token per row if the layer does, rotates them, appends keys and values to the rows, and
    /// computes the attention over the rows.
    /// </summary>
    /// <param name="layer">The index of the layer.</param>
    /// <param name="rows">The rows.</param>
    /// <param name="head">The index of the key head.</param>
    /// <param name="thread">The number of the calling thread, whose scratch buffer is used.</param>
    /// <param name="buffers">
    /// The queries, keys and values of all rows, normalized in place, and the result <see cref="CpuBuffers.Mixed"/>, of which the query
    /// heads of this key head are written.
    /// </param>
    internal void Attend(int layer, RowSpan rows, int head, int thread, CpuBuffers buffers)
    {
        float* queries = _temporary + ((long)thread * _scratchSize), mixed = queries + (_scratchHeads * _width);
        float* own = mixed + (_scratchHeads * _width), scores = own + (_scratchHeads * _width);
        for (int i = 0; i < rows.Count; i++)
        {
            Append(layer, rows.First + i, head, buffers, queries + (i * _group * _width));
        }

        int heads = rows.Count * _group, shared = rows.Count > 1 ? rows.PromptLength / Tile * Tile : 0;
        int paddedHeads = (heads + Tile - 1) / Tile * Tile;
        float* promptKeys = Cached(_keys, layer, rows.First, head), promptValues = Cached(_values, layer, rows.First, head);
        SkinnyKernel.Multiply<T>(queries, paddedHeads, promptKeys, _width, 0, shared, scores, _stride);
        Span<float> sums = stackalloc float[heads];
        for (int i = 0; i < rows.Count; i++)
        {
            int begin = i * _group;
            Weigh(Cached(_keys, layer, rows.First + i, head), shared, _cache.Lengths[rows.First + i] + 1,
                queries + (begin * _width), scores + (begin * _stride), sums.Slice(begin, _group));
        }

        for (int i = 0; i < paddedHeads && shared > 0; i += Tile)
        {
            Mix(scores + (i * _stride), promptValues, 0, shared, initial: null, mixed + (i * _width));
        }

        for (int i = 0; i < rows.Count; i++)
        {
            int row = rows.First + i, begin = i * _group, count = _cache.Lengths[row] + 1;
            float* values = Cached(_values, layer, row, head);
            for (int j = 0; j < _group; j += Tile)
            {
                float* initial = shared > 0 ? mixed + ((begin + j) * _width) : null;
                Mix(scores + ((begin + j) * _stride), values, shared, count, initial, own + (j * _width));
            }

            float* result = buffers.Mixed + ((((long)row * _keyValueHeads) + head) * _group * _width);
            for (int j = 0; j < _group; j++)
            {
                Scale(own + (j * _width), 1 / sums[begin + j], _width, result + (j * _width));
            }
        }
    }

    private float* Cached(float*[] layers, int layer, int row, int head) =>
        layers[layer] + ((((long)row * _keyValueHeads) + head) * _cache.Capacity * _width);

    private void Append(int layer, int row, int head, CpuBuffers buffers, float* rotated)
    {
        int position = _cache.Lengths[row];
        long index = ((long)row * _keyValueHeads) + head, end = (long)position * _width;
        float* queries = buffers.Queries + (index * _group * _width), key = buffers.Keys + (index * _width);
        float* cosine = _cosine + end, sine = _sine + end;
        Norm(key, _layers[layer].KeyNorm, 1);
        Norm(queries, _layers[layer].QueryNorm, _group);
        CpuMath.Rotate<T>(key, cosine, sine, _width, Cached(_keys, layer, row, head) + end);
        Copy(buffers.Values + (index * _width), Cached(_values, layer, row, head) + end, _width);
        for (int i = 0; i < _group; i++)
        {
            CpuMath.Rotate<T>(queries + (i * _width), cosine, sine, _width, rotated + (i * _width));
        }
    }

    // Completes the scores of a row's query heads from a position on and turns all of them into unnormalized weights. The padded heads are
    // those of the next row, whose scores are not complete yet.
    private void Weigh(float* keys, int from, int count, float* queries, float* scores, Span<float> sums)
    {
        int whole = count / Tile * Tile;
        SkinnyKernel.Multiply<T>(queries, _paddedGroup, keys, _width, from, whole, scores, _stride);
        float scale = 1 / MathF.Sqrt(_width);
        for (int i = 0; i < _group; i++)
        {
            for (int t = whole; t < count; t++)
            {
                scores[(i * _stride) + t] = SkinnyKernel.Dot<T>(queries + (i * _width), keys + ((long)t * _width), _width);
            }

            sums[i] = CpuMath.Exponentials<T>(scores + (i * _stride), scale, count);
        }
    }

    // The heads are neighbors. No weight means no norm.
    private void Norm(float* heads, float* weight, int count)
    {
        if (weight is null)
        {
            return;
        }

        for (int i = 0; i < count; i++)
        {
            CpuMath.RmsNorm<T>(heads + (i * _width), weight, _epsilon, _width, heads + (i * _width));
        }
    }

    public void Dispose()
    {
        _cosines.Dispose();
        _signedSines.Dispose();
        _scratch.Dispose();
    }

    // Adds the values of some positions to the initial sums of four heads, weighted by the heads' weights.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Mix(float* weights, float* values, int from, int to, float* initial, float* result)
    {
        int width = _width;
        float* weights1 = weights + _stride, weights2 = weights1 + _stride, weights3 = weights2 + _stride;
        for (int d = 0; d < width; d += 2 * T.Count)
        {
            T s00 = default, s01 = default, s10 = default, s11 = default, s20 = default, s21 = default, s30 = default, s31 = default;
            if (initial != null)
            {
                (s00, s01) = Load(initial + d);
                (s10, s11) = Load(initial + width + d);
                (s20, s21) = Load(initial + (2 * width) + d);
                (s30, s31) = Load(initial + (3 * width) + d);
            }

            for (int t = from; t < to; t++)
            {
                float* value = values + ((long)t * width) + d;
                T a = T.Load(value), b = T.Load(value + T.Count);
                T w = T.Create(weights[t]);
                s00 = T.MultiplyAdd(w, a, s00);
                s01 = T.MultiplyAdd(w, b, s01);
                w = T.Create(weights1[t]);
                s10 = T.MultiplyAdd(w, a, s10);
                s11 = T.MultiplyAdd(w, b, s11);
                w = T.Create(weights2[t]);
                s20 = T.MultiplyAdd(w, a, s20);
                s21 = T.MultiplyAdd(w, b, s21);
                w = T.Create(weights3[t]);
                s30 = T.MultiplyAdd(w, a, s30);
                s31 = T.MultiplyAdd(w, b, s31);
            }

            Store(result + d, s00, s01);
            Store(result + width + d, s10, s11);
            Store(result + (2 * width) + d, s20, s21);
            Store(result + (3 * width) + d, s30, s31);
        }
    }

    private static (T First, T Second) Load(float* source) => (T.Load(source), T.Load(source + T.Count));

    private static void Store(float* result, T first, T second)
    {
        T.Store(first, result);
        T.Store(second, result + T.Count);
    }

    private static void Copy(float* from, float* to, int count) => new ReadOnlySpan<float>(from, count).CopyTo(new Span<float>(to, count));

    private static void Scale(float* from, float factor, int count, float* to)
    {
        T factors = T.Create(factor);
        for (int i = 0; i < count; i += T.Count)
        {
            T.Store(T.Load(from + i) * factors, to + i);
        }
    }
}

/// <summary>Neighboring rows of a cache that begin with the same prompt.</summary>
/// <param name="First">The first row.</param>
/// <param name="Count">The number of rows.</param>
/// <param name="PromptLength">The number of tokens of the prompt.</param>
internal readonly record struct RowSpan(int First, int Count, int PromptLength)
{
    /// <summary>Cuts all rows of a cache into spans.</summary>
    /// <param name="prompts">The prompt of each row.</param>
    /// <param name="longest">The largest number of rows in a span.</param>
    internal static List<RowSpan> Cut(IReadOnlyList<CachedPrompt> prompts, int longest)
    {
        var spans = new List<RowSpan>();
        for (int first = 0, row = 1; row <= prompts.Count; row++)
        {
            if (row == prompts.Count || row - first == longest || prompts[row].Number != prompts[first].Number)
            {
                spans.Add(new RowSpan(first, row - first, prompts[first].Length));
                first = row;
            }
        }

        return spans;
    }
}

using System.Runtime.CompilerServices;
using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Cpu;
using Grpo.Models.Qwen.Model;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Decoding;

/// <summary>Attention of one new token per row over a key/value cache in main memory.</summary>
/// <remarks>
/// A call handles one row and one key head with all query heads that share it. So keys and values are read once, in place.
/// </remarks>
/// <typeparam name="T">The vectors of the processor.</typeparam>
internal sealed unsafe class CpuAttention<T> : IDisposable
    where T : unmanaged, IFloats<T>
{
    private const int Tile = SkinnyKernel.Tile;
    private const int Lanes = SkinnyKernel.Lanes;

    private readonly KeyValueCache _cache;
    private readonly IReadOnlyList<CpuLayer> _layers;  // for the norms of their heads
    private readonly float _epsilon;
    private readonly int _keyValueHeads;
    private readonly int _group;                       // query heads per key head
    private readonly int _paddedGroup;
    private readonly int _width;                       // D
    private readonly int _paddedCapacity;
    private readonly Tensor _cosines;                  // [1, capacity, 1, D]
    private readonly Tensor _signedSines;
    private readonly Tensor _scratch;                  // per thread: queries and result [group, D], scores [group, capacity]
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
        _paddedCapacity = (cache.Capacity + Lanes - 1) / Lanes * Lanes;
        (_cosines, _signedSines) = RotaryEmbedding.Tables(
            arange(cache.Capacity, ScalarType.Int64).unsqueeze(0), config, ScalarType.Float32);
        _scratchSize = _paddedGroup * ((2 * _width) + _paddedCapacity);
        _scratch = zeros([threads, _scratchSize], ScalarType.Float32); // query heads added as padding stay zeros
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
    /// Normalizes a token's queries and key if the layer does, rotates them, appends key and value to the row, and computes the attention
    /// over the row.
    /// </summary>
    /// <param name="layer">The index of the layer.</param>
    /// <param name="row">The index of the row.</param>
    /// <param name="head">The index of the key head.</param>
    /// <param name="thread">The number of the calling thread, whose scratch buffer is used.</param>
    /// <param name="queries">The queries of all heads of the row, [A, D]. Normalized in place.</param>
    /// <param name="keys">The keys of all heads of the row, [K, D]. Normalized in place.</param>
    /// <param name="values">The values of all heads of the row, [K, D].</param>
    /// <param name="mixed">The result, [A, D], of which the query heads of this key head are written.</param>
    internal void Attend(int layer, int row, int head, int thread, float* queries, float* keys, float* values, float* mixed)
    {
        int position = _cache.Lengths[row];
        long begin = (((long)row * _keyValueHeads) + head) * _cache.Capacity * _width;
        float* cachedKeys = _keys[layer] + begin, cachedValues = _values[layer] + begin;
        float* cosine = _cosine + ((long)position * _width), sine = _sine + ((long)position * _width);
        float* rotated = _temporary + ((long)thread * _scratchSize);
        float* result = rotated + (_paddedGroup * _width), scores = result + (_paddedGroup * _width);

        Norm(keys + (head * _width), _layers[layer].KeyNorm, 1);
        Norm(queries + (head * _group * _width), _layers[layer].QueryNorm, _group);
        CpuMath.Rotate<T>(keys + (head * _width), cosine, sine, _width, cachedKeys + ((long)position * _width));
        Copy(values + (head * _width), cachedValues + ((long)position * _width), _width);
        for (int i = 0; i < _group; i++)
        {
            CpuMath.Rotate<T>(queries + (((head * _group) + i) * _width), cosine, sine, _width, rotated + (i * _width));
        }

        int count = position + 1, whole = count / Tile * Tile;
        SkinnyKernel.Multiply<T>(rotated, _paddedGroup, cachedKeys, _width, 0, whole, scores, _paddedCapacity);
        for (int i = 0; i < _group; i++)
        {
            for (int t = whole; t < count; t++)
            {
                scores[(i * _paddedCapacity) + t] = SkinnyKernel.Dot<T>(rotated + (i * _width), cachedKeys + ((long)t * _width), _width);
            }
        }

        float scale = 1 / MathF.Sqrt(_width);
        Span<float> sums = stackalloc float[_group];
        for (int i = 0; i < _group; i++)
        {
            sums[i] = CpuMath.Exponentials<T>(scores + (i * _paddedCapacity), scale, count);
        }

        for (int i = 0; i < _paddedGroup; i += Tile)
        {
            for (int d = 0; d < _width; d += 2 * T.Count)
            {
                Mix(scores + (i * _paddedCapacity), _paddedCapacity, cachedValues + d, _width, count, result + (i * _width) + d);
            }
        }

        for (int i = 0; i < _group; i++)
        {
            Scale(result + (i * _width), 1 / sums[i], _width, mixed + (((head * _group) + i) * _width));
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

    // Four rows of weights times two vectors of each value.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Mix(float* weights, int stride, float* values, int width, int count, float* result)
    {
        float* weights1 = weights + stride, weights2 = weights1 + stride, weights3 = weights2 + stride;
        T s00 = default, s01 = default, s10 = default, s11 = default, s20 = default, s21 = default, s30 = default,
            s31 = default;
        for (int t = 0; t < count; t++)
        {
            float* value = values + ((long)t * width);
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

        Store(result, s00, s01);
        Store(result + width, s10, s11);
        Store(result + (2 * width), s20, s21);
        Store(result + (3 * width), s30, s31);
    }

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

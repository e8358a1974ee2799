using Grpo.Callbacks;
using Grpo.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>
/// A decoding step of a float32 model on a CPU without a tensor per operation: the same mathematics as the modules', in kernels over memory
/// that stays where it is. A step of a few rows is bound by reading the weights; operations of some microseconds each would be a sixth of it, and of a small
/// model's most.
/// </summary>
internal sealed unsafe class HostDecoder : IDisposable
{
    // Weights that stay in the processor's cache are multiplied by any number of rows without reading memory again.
    private const long SmallModel = 1 << 22;
    private const int MaxRowsOfSmallModel = 1024;

    private readonly Qwen2ForCausalLM _model;
    private readonly IntPtr _headHandle;
    private readonly Qwen2Config _config;
    private readonly KeyValueCache _cache;
    private readonly HostLayer[] _layers;
    private readonly HostWeight _head;
    private readonly float* _embedding;
    private readonly float* _finalNorm;
    private readonly HostPart[] _projectionParts;      // of queries, keys and values
    private readonly HostPart[] _outputParts;
    private readonly HostPart[] _gateParts;
    private readonly HostPart[] _downParts;
    private readonly HostPart[] _headParts;
    private readonly int _maxRows;
    private readonly HostAttention _attention;
    private readonly HostBuffers _buffers;
    private readonly Int8Rows? _int8Rows;
    private readonly ThreadTeam _team;

    private int _rows;
    private int _padded;                               // rows that the products in float32 take; those in 8 bits take full tiles for one row too
    private int _layer;
    private Int8Rows? _rounded;                        // what the next product takes, in 8 bits; null: as it is
    private float* _logits;

    private HostDecoder(Qwen2ForCausalLM model, KeyValueCache cache, Int8Weights? int8)
    {
        Dictionary<string, Parameter> weights = Weights(model);
        (_model, _config, _cache, _headHandle) = (model, model.Config, cache, model.HeadWeight.Handle);
        _layers = [.. Enumerable.Range(0, _config.LayerCount).Select(layer => new HostLayer(name => weights[$"model.layers.{layer}.{name}"], int8))];
        _head = new HostWeight(model.HeadWeight, int8);
        _embedding = HostMemory.Address(weights["model.embed_tokens.weight"]);
        _finalNorm = HostMemory.Address(weights["model.norm.weight"]);
        HostLayer any = _layers[0];
        int threads = get_num_threads();
        _projectionParts = HostPart.Cut(threads, any.Queries, any.Keys, any.Values);
        _outputParts = HostPart.Cut(threads, any.Output);
        _gateParts = HostPart.Cut(threads, any.Gate);
        _downParts = HostPart.Cut(threads, any.Down);
        _headParts = HostPart.Cut(threads, _head);
        _maxRows = Math.Min(
            ThreadTeam.MaxBlocks / _config.KeyValueHeadCount,
            int8 is not null ? Int8Weight.MaxRows
                : weights.Values.Sum(weight => weight.numel()) <= SmallModel ? MaxRowsOfSmallModel
                : SkinnyLinear.MaxRows);
        int rows = Int8Weight.Padded(Math.Min(cache.Slots, _maxRows)), width = _config.AttentionHeadCount * _config.HeadWidth;
        try
        {
            _attention = new HostAttention(_config, cache, threads);
            _buffers = new HostBuffers(_config, rows);
            _int8Rows = int8 is null ? null : new Int8Rows(rows, Math.Max(width, Math.Max(_config.HiddenSize, _config.IntermediateSize)));
            _team = new ThreadTeam(threads);
        }
        catch
        {
            Dispose(); // out of memory half way
            throw;
        }
    }

    /// <summary>A decoder for a session; null where the model, its adapter, the processor or a shape is one that the modules decode.</summary>
    /// <param name="model">Borrowed; its weights must not change while the decoder lives.</param>
    /// <param name="cache">Borrowed.</param>
    /// <param name="int8">The model's weights in 8 bits, or null. Borrowed.</param>
    internal static HostDecoder? TryCreate(Qwen2ForCausalLM model, KeyValueCache cache, Int8Weights? int8)
    {
        using var scope = TensorScope.BeginNoGrad();
        bool suits = SkinnyKernel.IsSupported
            && model.Adapter is null or { IsMerged: true }
            && HostAttention.Suits(model.Config)
            && HostMemory.Suits(cache.Layer(0).Keys)
            && Weights(model).Values.Append(model.HeadWeight).All(weight => weight.dim() == 1 ? HostMemory.Suits(weight) : SkinnyLinear.Suits(weight));
        return suits ? new HostDecoder(model, cache, int8) : null;
    }

    /// <summary>Whether it decodes so many rows; with more the arithmetic dominates, and general products are as fast.</summary>
    internal bool Takes(int rows) => rows <= _maxRows;

    /// <summary>Runs one new token of every row and writes its keys and values; the cache does not count them yet.</summary>
    /// <param name="tokenIds">One for each row of the cache, below V.</param>
    /// <returns>Logits [B, V] float32. Owned by the caller's scope.</returns>
    /// <exception cref="ArgumentException">An id is not of the vocabulary.</exception>
    /// <exception cref="InvalidOperationException">The model was disposed or moved.</exception>
    internal Tensor Advance(ReadOnlySpan<long> tokenIds)
    {
        if (_model.HeadWeight.Handle != _headHandle)
        {
            throw new InvalidOperationException(
                "The model's weights are not where they were when the session began: it was disposed, or moved to another type or device. Start another session.");
        }

        using var scope = TensorScope.BeginNoGrad();
        _rows = tokenIds.Length;
        _padded = SkinnyKernel.Padded(_rows);
        Embed(tokenIds);
        Tensor logits = empty([Int8Weight.Padded(_rows), _head.Outputs], ScalarType.Float32);
        _logits = HostMemory.Address(logits);
        _team.BeginSection();
        try
        {
            for (_layer = 0; _layer < _layers.Length; _layer++)
            {
                RunLayer();
            }

            Norm(_finalNorm);
            Round(_buffers.Normed, _head.Width);
            _team.Run(_headParts.Length, MultiplyHead);
        }
        finally
        {
            _team.EndSection();
        }

        return scope.Keep(logits.narrow(0, 0, _rows));
    }

    public void Dispose()
    {
        // Some are null when the constructor has failed.
        _team?.Dispose();
        _attention?.Dispose();
        _buffers?.Dispose();
        _int8Rows?.Dispose();
    }

    private static Dictionary<string, Parameter> Weights(Qwen2ForCausalLM model) =>
        model.BaseParameters().ToDictionary(named => named.Name, named => named.Parameter, StringComparer.Ordinal);

    private void Embed(ReadOnlySpan<long> tokenIds)
    {
        int width = _config.HiddenSize;
        for (int row = 0; row < _rows; row++)
        {
            if (tokenIds[row] < 0 || tokenIds[row] >= _config.VocabularySize)
            {
                throw new ArgumentException($"Token {tokenIds[row]} of row {row} is not below the vocabulary of {_config.VocabularySize}.", nameof(tokenIds));
            }

            new ReadOnlySpan<float>(_embedding + (tokenIds[row] * width), width).CopyTo(new Span<float>(_buffers.Hidden + ((long)row * width), width));
        }
    }

    private void RunLayer()
    {
        HostLayer layer = _layers[_layer];
        Norm(layer.AttentionNorm);
        Round(_buffers.Normed, _config.HiddenSize);
        _team.Run(_projectionParts.Length, MultiplyProjections);
        _team.Run(_rows * _config.KeyValueHeadCount, Attend);
        Round(_buffers.Mixed, layer.Output.Width);
        _team.Run(_outputParts.Length, MultiplyOutput);
        Norm(layer.MlpNorm);
        Round(_buffers.Normed, _config.HiddenSize);
        _team.Run(_gateParts.Length, MultiplyGate);
        Round(_buffers.Gate, _config.IntermediateSize);
        _team.Run(_downParts.Length, MultiplyDown);
    }

    private void Norm(float* weight)
    {
        int width = _config.HiddenSize;
        for (int row = 0; row < _rows; row++)
        {
            HostMath.RmsNorm(_buffers.Hidden + ((long)row * width), weight, (float)_config.RmsNormEpsilon, width, _buffers.Normed + ((long)row * width));
        }
    }

    private void Round(float* values, int width)
    {
        _rounded = width % Int8Kernel.Lanes == 0 ? _int8Rows : null;
        _rounded?.Round(values, _rows, width);
    }

    private void MultiplyProjections(int block, int member)
    {
        HostPart part = _projectionParts[block];
        HostLayer layer = _layers[_layer];
        switch (part.Weight)
        {
            case 0:
                MultiplyAndBias(layer.Queries, layer.QueryBias, part, _buffers.Queries);
                break;
            case 1:
                MultiplyAndBias(layer.Keys, layer.KeyBias, part, _buffers.Keys);
                break;
            default:
                MultiplyAndBias(layer.Values, layer.ValueBias, part, _buffers.Values);
                break;
        }
    }

    private void MultiplyAndBias(HostWeight weight, float* bias, HostPart part, float* output)
    {
        weight.Multiply(_buffers.Normed, _rounded, _padded, part.From, part.To, output);
        for (int row = 0; row < _rows; row++)
        {
            HostMath.Add(output + ((long)row * weight.Outputs) + part.From, bias + part.From, part.To - part.From);
        }
    }

    private void Attend(int block, int member)
    {
        (int row, int head) = Math.DivRem(block, _config.KeyValueHeadCount);
        long queries = (long)row * _config.AttentionHeadCount * _config.HeadWidth, keys = (long)row * _config.KeyValueHeadCount * _config.HeadWidth;
        _attention.Attend(_layer, row, head, member, _buffers.Queries + queries, _buffers.Keys + keys, _buffers.Values + keys, _buffers.Mixed + queries);
    }

    private void MultiplyOutput(int block, int member) => MultiplyAndAdd(_layers[_layer].Output, _outputParts[block], _buffers.Mixed);

    private void MultiplyDown(int block, int member) => MultiplyAndAdd(_layers[_layer].Down, _downParts[block], _buffers.Gate);

    private void MultiplyAndAdd(HostWeight weight, HostPart part, float* input)
    {
        weight.Multiply(input, _rounded, _padded, part.From, part.To, _buffers.Change);
        for (int row = 0; row < _rows; row++)
        {
            long begin = ((long)row * weight.Outputs) + part.From;
            HostMath.Add(_buffers.Hidden + begin, _buffers.Change + begin, part.To - part.From);
        }
    }

    private void MultiplyGate(int block, int member)
    {
        HostPart part = _gateParts[block];
        HostLayer layer = _layers[_layer];
        layer.Gate.Multiply(_buffers.Normed, _rounded, _padded, part.From, part.To, _buffers.Gate);
        layer.Up.Multiply(_buffers.Normed, _rounded, _padded, part.From, part.To, _buffers.Up);
        for (int row = 0; row < _rows; row++)
        {
            long begin = ((long)row * layer.Gate.Outputs) + part.From;
            HostMath.Gate(_buffers.Gate + begin, _buffers.Up + begin, part.To - part.From);
        }
    }

    private void MultiplyHead(int block, int member)
    {
        HostPart part = _headParts[block];
        _head.Multiply(_buffers.Normed, _rounded, _padded, part.From, part.To, _logits);
    }
}

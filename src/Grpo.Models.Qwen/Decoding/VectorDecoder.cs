using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Cpu;
using Grpo.Models.Qwen.Model;
using Grpo.Tensors;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Decoding;

/// <summary>The decoding step of a model on a CPU, over vectors of one width.</summary>
/// <typeparam name="T">The vectors.</typeparam>
internal sealed unsafe class VectorDecoder<T> : CpuDecoder
    where T : unmanaged, IFloats<T>
{
    // Weights that fit into the processor's cache are read from memory only once, whatever the number of rows.
    private const long SmallModel = 1 << 22;
    private const int MaxRowsOfSmallModel = 1024;

    private readonly CausalLM _model;
    private readonly IntPtr _headHandle;
    private readonly DecoderConfig _config;
    private readonly KeyValueCache _cache;
    private readonly CpuLayer[] _layers;
    private readonly CpuWeight _head;
    private readonly float* _embedding;
    private readonly float* _finalNorm;
    private readonly CpuPart[] _projectionParts;       // of queries, keys and values
    private readonly CpuPart[] _outputParts;
    private readonly CpuPart[] _gateParts;
    private readonly CpuPart[] _downParts;
    private readonly CpuPart[] _headParts;
    private readonly int _maxRows;
    private readonly CpuAttention<T> _attention;
    private readonly CpuBuffers _buffers;
    private readonly Int8Rows? _int8Rows;
    private readonly ThreadTeam _team;

    private int _rows;
    private int _padded;                               // rows of the products: one, or full tiles
    private List<RowSpan> _spans = [];
    private int _layer;
    private Int8Rows? _rounded;                        // the input of the next product in 8 bits; null: float32
    private float* _logits;

    internal VectorDecoder(CausalLM model, KeyValueCache cache, Int8Weights? int8)
    {
        Dictionary<string, Parameter> weights = Weights(model);
        (_model, _config, _cache, _headHandle) = (model, model.Config, cache, model.HeadWeight.Handle);
        _layers = [.. Enumerable.Range(0, _config.LayerCount)
            .Select(layer => new CpuLayer(name => weights.GetValueOrDefault($"model.layers.{layer}.{name}"), int8))];
        _head = new CpuWeight(model.HeadWeight, int8);
        _embedding = CpuMemory.Address(weights["model.embed_tokens.weight"]);
        _finalNorm = CpuMemory.Address(weights["model.norm.weight"]);
        CpuLayer any = _layers[0];
        int threads = get_num_threads();
        _projectionParts = CpuPart.Cut(threads, any.Queries.Weight, any.Keys.Weight, any.Values.Weight);
        _outputParts = CpuPart.Cut(threads, any.Output.Weight);
        _gateParts = CpuPart.Cut(threads, any.Gate.Weight);
        _downParts = CpuPart.Cut(threads, any.Down.Weight);
        _headParts = CpuPart.Cut(threads, _head);
        _maxRows = Math.Min(
            ThreadTeam.MaxBlocks / _config.KeyValueHeadCount,
            int8 is not null ? Int8Weight.MaxRows
                : weights.Values.Sum(weight => weight.numel()) <= SmallModel ? MaxRowsOfSmallModel
                : SkinnyLinear.MaxRows);
        int rows = SkinnyKernel.Padded(Math.Min(cache.Slots, _maxRows)), width = _config.AttentionHeadCount * _config.HeadWidth;
        try
        {
            _attention = new CpuAttention<T>(_config, cache, _layers, threads);
            _buffers = new CpuBuffers(_config, rows);
            _int8Rows = int8 is null ? null : new Int8Rows(rows, Math.Max(width, Math.Max(_config.HiddenSize, _config.IntermediateSize)));
            _team = new ThreadTeam(threads);
        }
        catch
        {
            Dispose(); // out of memory: free what was allocated
            throw;
        }
    }

    internal override bool CanDecode(int rows) => rows <= _maxRows;

    internal override Tensor Advance(ReadOnlySpan<long> tokenIds)
    {
        if (_model.HeadWeight.Handle != _headHandle)
        {
            throw new InvalidOperationException(
                "The model's weights are not where they were when the session began: it was disposed, or moved to another "
                + "type or device. Start another session.");
        }

        using var scope = TensorScope.BeginNoGrad();
        _rows = tokenIds.Length;
        _padded = SkinnyKernel.Padded(_rows);
        // Longer spans read less, but there have to be enough for all threads.
        _spans = RowSpan.Cut(
            _cache.Prompts, Math.Clamp(_rows * _config.KeyValueHeadCount / (2 * _team.Members), 1, CpuAttention<T>.MaxRows));
        Embed(tokenIds);
        Tensor logits = empty([_padded, _head.Outputs], ScalarType.Float32);
        _logits = CpuMemory.Address(logits);
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

    public override void Dispose()
    {
        // Some fields are null if the constructor failed.
        _team?.Dispose();
        _attention?.Dispose();
        _buffers?.Dispose();
        _int8Rows?.Dispose();
    }

    private void Embed(ReadOnlySpan<long> tokenIds)
    {
        int width = _config.HiddenSize;
        for (int row = 0; row < _rows; row++)
        {
            if (tokenIds[row] < 0 || tokenIds[row] >= _config.VocabularySize)
            {
                throw new ArgumentException(
                    $"Token {tokenIds[row]} of row {row} is not below the vocabulary of {_config.VocabularySize}.", nameof(tokenIds));
            }

            new ReadOnlySpan<float>(_embedding + (tokenIds[row] * width), width)
                .CopyTo(new Span<float>(_buffers.Hidden + ((long)row * width), width));
        }
    }

    private void RunLayer()
    {
        CpuLayer layer = _layers[_layer];
        Norm(layer.AttentionNorm);
        Round(_buffers.Normed, _config.HiddenSize);
        _team.Run(_projectionParts.Length, MultiplyProjections);
        _team.Run(_spans.Count * _config.KeyValueHeadCount, Attend);
        Round(_buffers.Mixed, layer.Output.Weight.Width);
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
            CpuMath.RmsNorm<T>(
                _buffers.Hidden + ((long)row * width), weight, (float)_config.RmsNormEpsilon, width, _buffers.Normed + ((long)row * width));
        }
    }

    private void Round(float* values, int width)
    {
        _rounded = width % Int8Kernel.Lanes == 0 ? _int8Rows : null;
        _rounded?.Round(values, _rows, width);
    }

    private void MultiplyProjections(int block, int member)
    {
        CpuPart part = _projectionParts[block];
        CpuLayer layer = _layers[_layer];
        switch (part.Weight)
        {
            case 0:
                Multiply(layer.Queries, part, _buffers.Normed, _buffers.Queries);
                break;
            case 1:
                Multiply(layer.Keys, part, _buffers.Normed, _buffers.Keys);
                break;
            default:
                Multiply(layer.Values, part, _buffers.Normed, _buffers.Values);
                break;
        }
    }

    private void Multiply(CpuLinear linear, CpuPart part, float* input, float* output)
    {
        linear.Weight.Multiply<T>(input, _rounded, _padded, part.From, part.To, output);
        linear.AddBias<T>(output, _rows, part);
    }

    private void Attend(int block, int member)
    {
        (int span, int head) = Math.DivRem(block, _config.KeyValueHeadCount);
        _attention.Attend(_layer, _spans[span], head, member, _buffers);
    }

    private void MultiplyOutput(int block, int member) => MultiplyAndAdd(_layers[_layer].Output, _outputParts[block], _buffers.Mixed);

    private void MultiplyDown(int block, int member) => MultiplyAndAdd(_layers[_layer].Down, _downParts[block], _buffers.Gate);

    private void MultiplyAndAdd(CpuLinear linear, CpuPart part, float* input)
    {
        Multiply(linear, part, input, _buffers.Change);
        for (int row = 0; row < _rows; row++)
        {
            long begin = ((long)row * linear.Weight.Outputs) + part.From;
            CpuMath.Add<T>(_buffers.Hidden + begin, _buffers.Change + begin, part.To - part.From);
        }
    }

    private void MultiplyGate(int block, int member)
    {
        CpuPart part = _gateParts[block];
        CpuLayer layer = _layers[_layer];
        Multiply(layer.Gate, part, _buffers.Normed, _buffers.Gate);
        Multiply(layer.Up, part, _buffers.Normed, _buffers.Up);
        for (int row = 0; row < _rows; row++)
        {
            long begin = ((long)row * layer.Gate.Weight.Outputs) + part.From;
            CpuMath.Gate<T>(_buffers.Gate + begin, _buffers.Up + begin, part.To - part.From);
        }
    }

    private void MultiplyHead(int block, int member)
    {
        CpuPart part = _headParts[block];
        _head.Multiply<T>(_buffers.Normed, _rounded, _padded, part.From, part.To, _logits);
    }
}

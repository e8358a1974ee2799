using Grpo.Optimization;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Planning;

/// <summary>
/// The memory in bytes of one decoder layer's passes, counted from the tensors that its code creates (Model/*.cs) and that autograd saves.
/// </summary>
/// <param name="model">The memory model.</param>
/// <param name="tokens">The tokens of the pass.</param>
internal sealed class LayerMemory(QwenMemory model, PassTokens tokens)
{
    private const int Single = sizeof(float);

    private readonly long _count = tokens.Count;                                       // R
    private readonly long _keys = tokens.Keys;                                         // S
    private readonly long _hidden = model.Config.HiddenSize;                           // H
    private readonly long _inner = model.Config.IntermediateSize;
    private readonly long _queries = model.Counts.QueryWidth;                          // A·D
    private readonly long _keyWidth = model.Counts.KeyWidth;                           // K·D
    private readonly bool _isSingle = model.ComputeType == ScalarType.Float32;
    private readonly int _bytes = model.ComputeBytes;

    /// <summary>The bytes that the forward pass keeps for the backward pass.</summary>
    internal long Kept => KeptOfNorms + KeptOfHeadNorms + KeptOfAttention + KeptOfMlp + KeptOfAdapters + CastWeights;

    /// <summary>The part of <see cref="Kept"/> in tensors that are too small to be blocks of their own.</summary>
    internal long SmallBlocks =>
        (IsSmall(_count * _hidden * Single) ? KeptOfNorms : 0) + (IsSmall(_count * _queries * _bytes) ? KeptOfHeadNorms : 0)
        + (IsSmall(_keys * _queries * _bytes) ? KeptOfAttention : 0)
        + (IsSmall(_count * _inner * _bytes) ? KeptOfMlp : 0) + (IsSmall(_count * _hidden * Single) ? KeptOfAdapters : 0);

    /// <summary>The peak of a pass without gradients, including the layer's input.</summary>
    internal long Forward
    {
        get
        {
            // MLP: input, its norm, attention's output, their sum, its norm and the layer's output; gate, silu, up and their product.
            long mlp = (6 * _hidden) + ((Adapts("up_proj") ? 5 : 4) * _inner);
            // Attention: input and norm, q and k before and after norm and rotation, v; then the inputs and the output of
            // scaled_dot_product_attention.
            long attention = (2 * _hidden) + (2 * _queries) + (3 * _keyWidth) + NormedHeads;
            long attended = tokens.IsPacked ? (3 * _count * _queries) + (2 * _keys * (_queries + _keyWidth)) : 3 * _count * _queries;
            return _bytes * Math.Max(mlp * _count, (attention * _count) + attended);
        }
    }

    /// <summary>The peak of the backward pass in addition to <see cref="Kept"/>.</summary>
    internal long Backward
    {
        get
        {
            int bytes = model.Lora is null ? _bytes : Math.Max(_bytes, Single);
            // silu(gate) · up is computed again and has three gradients, while the gradient of the product still exists. The saved input of
            // down_proj is freed.
            long mlp = bytes * _count * ((5 * _inner) + (2 * _hidden));
            // Gradients of q, k, v and the output. The MLP's share of the layer is free by then.
            long attention = (bytes * (((2 * _count) + (2 * _keys)) * _queries)) + (bytes * _count * _hidden) - KeptOfMlp;
            return Math.Max(mlp, attention);
        }
    }

    // The norms' inputs, from which the norms are computed again, and their results, which the projections multiply. A frozen weight has no
    // gradient. In 16 bits an adapter makes its own copy.
    private long KeptOfNorms
    {
        get
        {
            long results = model.Lora is null ? 2
                : !_isSingle ? 0
                : (AdaptsAny("q_proj", "k_proj", "v_proj") ? 1 : 0) + (AdaptsAny("gate_proj", "up_proj") ? 1 : 0);
            return (2 + results) * _count * _hidden * _bytes;
        }
    }

    // The inputs of the norms of the heads. Without norms nothing keeps queries and keys before the rotation.
    private long KeptOfHeadNorms => _bytes * _count * NormedHeads;

    private long NormedHeads => model.Config.QueryKeyNorm ? _queries + _keyWidth : 0;

    // The queries, keys, values and output of scaled_dot_product_attention, with keys and values repeated for every query head. In float32
    // also the logarithm of each softmax's sum. In a packed row the output is reordered for o_proj, which saves that copy.
    private long KeptOfAttention
    {
        get
        {
            long numbers = ((2 * _count) + (2 * _keys)) * _queries;
            long reordered = tokens.IsPacked && (model.Lora is null || (_isSingle && Adapts("o_proj"))) ? _count * _queries : 0;
            return (_bytes * (numbers + reordered)) + (_count * model.Config.AttentionHeadCount * Single);
        }
    }

    // gate and up, and silu(gate) · up for down_proj.
    private long KeptOfMlp => _bytes * _count * _inner * (model.Lora is null || (_isSingle && Adapts("down_proj")) ? 3 : 2);

    // A(x) of every adapter. In 16 bits also the float32 copy of x that each adapter makes.
    private long KeptOfAdapters => model.Lora is null ? 0 : model.Lora.TargetModules.Sum(name =>
        _count * Single * (model.Lora.Rank + (_isSingle ? 0 : name switch { "o_proj" => _queries, "down_proj" => _inner, _ => _hidden })));

    // The converted weights if the pass has another type than they have. They are kept for the gradients of the inputs, except for weights
    // in 4 bits, which are converted again.
    private long CastWeights => model.IsMixed
        ? _bytes * ((model.FourBitBase ? 0 : model.Counts.LayerProjections) + model.Counts.LayerNorms)
        : 0;

    private static bool IsSmall(long bytes) => bytes < MemoryPlanner.LargeBlock;

    private bool Adapts(string projection) => model.Lora?.TargetModules.Contains(projection) == true;

    private bool AdaptsAny(params string[] projections) => Array.Exists(projections, Adapts);
}

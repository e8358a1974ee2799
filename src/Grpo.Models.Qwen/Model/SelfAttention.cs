using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Tensors;
using Grpo.Tensors;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Model;

/// <summary>Causal self-attention with grouped key/value heads (GQA) and RoPE.</summary>
/// <remarks>The configuration says which projections have biases, and whether the heads of queries and keys are normalized.</remarks>
internal sealed class SelfAttention : nn.Module<Tensor, AttentionContext, Tensor>
{
    private readonly int _layer;
    private readonly long _queryHeads;
    private readonly long _keyValueHeads;
    private readonly long _headWidth;
    [ComponentName(Name = "q_proj")] private readonly Projection _queryProjection;
    [ComponentName(Name = "k_proj")] private readonly Projection _keyProjection;
    [ComponentName(Name = "v_proj")] private readonly Projection _valueProjection;
    [ComponentName(Name = "o_proj")] private readonly Projection _outputProjection;
    [ComponentName(Name = "q_norm")] private readonly RmsNorm? _queryNorm;
    [ComponentName(Name = "k_norm")] private readonly RmsNorm? _keyNorm;

    internal SelfAttention(DecoderConfig config, int layer, ParameterPlacement placement)
        : base(nameof(SelfAttention))
    {
        _layer = layer;
        _queryHeads = config.AttentionHeadCount;
        _keyValueHeads = config.KeyValueHeadCount;
        _headWidth = config.HeadWidth;
        bool hasBias = config.QueryKeyValueBias;
        _queryProjection = new Projection(config.HiddenSize, _queryHeads * _headWidth, hasBias, placement);
        _keyProjection = new Projection(config.HiddenSize, _keyValueHeads * _headWidth, hasBias, placement);
        _valueProjection = new Projection(config.HiddenSize, _keyValueHeads * _headWidth, hasBias, placement);
        _outputProjection = new Projection(_queryHeads * _headWidth, config.HiddenSize, config.OutputBias, placement);
        if (config.QueryKeyNorm)
        {
            _queryNorm = new RmsNorm(_headWidth, config.RmsNormEpsilon, placement);
            _keyNorm = new RmsNorm(_headWidth, config.RmsNormEpsilon, placement);
        }

        RegisterComponents();
    }

    /// <summary>Computes the output of the attention block.</summary>
    /// <param name="hidden">The hidden states, [B, T, H]; T is 1 if the pass continues from a cache.</param>
    /// <param name="context">The context of this pass.</param>
    /// <returns>The output, [B, T, H].</returns>
    public override Tensor forward(Tensor hidden, AttentionContext context)
    {
        if (context.Mask is { } mask)
        {
            TensorGuard.RequireSameDevice(mask, nameof(context.Mask), hidden);
        }

        using var scope = TensorScope.Begin();
        Tensor queries = Heads(_queryProjection.call(hidden, context), _queryHeads);                              // [B, T, A, D]
        Tensor keys = Heads(_keyProjection.call(hidden, context), _keyValueHeads);                                // [B, T, K, D]
        (queries, keys) = Rotate(_queryNorm?.call(queries) ?? queries, _keyNorm?.call(keys) ?? keys, context);
        keys = keys.transpose(1, 2);                                                                              // [B, K, T, D]
        Tensor values = Heads(_valueProjection.call(hidden, context), _keyValueHeads).transpose(1, 2);            // [B, K, T, D]
        Tensor attended = context switch
        {
            { Packed: { } packed } => packed.Attend(queries, keys.transpose(1, 2), values.transpose(1, 2)),
            { Cached: CachePass.NextTokens next } => AttendToCache(queries, keys, values, next, context.Mask),
            _ => AttendToSequence(queries, keys, values, context),
        };
        return scope.Keep(_outputProjection.call(attended, context));
    }

    private Tensor AttendToSequence(Tensor queries, Tensor keys, Tensor values, AttentionContext context)
    {
        if (context.Cached is CachePass.Prompts prompts)
        {
            prompts.Cache.WritePrompts(_layer, keys, values, prompts.GroupSize);
        }

        Tensor mixed = nn.functional.scaled_dot_product_attention(
            queries.transpose(1, 2), ForEveryQueryHead(keys), ForEveryQueryHead(values), context.Mask, is_casual: context.Mask is null);
        long[] shape = queries.shape;
        return mixed.transpose(1, 2).reshape(shape[0], shape[1], _queryHeads * _headWidth);              // [B, T, A·D]
    }

    private Tensor AttendToCache(Tensor queries, Tensor keys, Tensor values, CachePass.NextTokens next, Tensor? mask)
    {
        (Tensor allKeys, Tensor allValues) = next.Cache.Append(_layer, keys, values, next.Indices);       // [B, K, S, D]
        // The A/K query heads that share a key head replace the sequence axis. So the cache is read in place and not expanded.
        long rows = queries.shape[0];
        Tensor grouped = queries.reshape(rows, _keyValueHeads, _queryHeads / _keyValueHeads, _headWidth);
        return nn.functional.scaled_dot_product_attention(grouped, allKeys, allValues, mask)
            .reshape(rows, 1, _queryHeads * _headWidth);
    }

    private Tensor ForEveryQueryHead(Tensor heads)
    {
        long[] shape = heads.shape;                                                                      // [B, K, T, D]
        return heads.unsqueeze(2)
            .expand(shape[0], shape[1], _queryHeads / _keyValueHeads, shape[2], shape[3])
            .reshape(shape[0], _queryHeads, shape[2], shape[3]);                                         // [B, A, T, D]
    }

    private Tensor Heads(Tensor projected, long heads)
    {
        long[] shape = projected.shape;
        return projected.view(shape[0], shape[1], heads, _headWidth);
    }

    // A token step is bound by the number of its operations on a device, so there both are rotated at once.
    private (Tensor Queries, Tensor Keys) Rotate(Tensor queries, Tensor keys, AttentionContext context)
    {
        if (context.Cached is not CachePass.NextTokens)
        {
            return (RotaryEmbedding.Rotate(queries, context.Cosine, context.SignedSine),
                RotaryEmbedding.Rotate(keys, context.Cosine, context.SignedSine));
        }

        Tensor both = RotaryEmbedding.Rotate(cat([queries, keys], 2), context.Cosine, context.SignedSine);        // [B, 1, A + K, D]
        return (both.narrow(2, 0, _queryHeads), both.narrow(2, _queryHeads, _keyValueHeads));
    }
}

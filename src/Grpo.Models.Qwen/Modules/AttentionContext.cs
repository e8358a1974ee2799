using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>What every layer of one forward pass shares: the rotary tables and what may be seen.</summary>
/// <param name="Cosine">[B, T, 1, D].</param>
/// <param name="SignedSine">[B, T, 1, D].</param>
/// <param name="Mask">
/// Added to the attention scores: 0 where a query may look, −∞ where not. [B, 1, T, T] for whole sequences, [B, 1, 1, S] for one
/// new token; null where causality alone decides (whole sequences) or everything may be seen (one new token).
/// </param>
internal sealed record AttentionContext(Tensor Cosine, Tensor SignedSine, Tensor? Mask)
{
    /// <summary>Type of the hidden states.</summary>
    internal ScalarType Type => Cosine.dtype;

    /// <summary>What the pass writes to a key/value cache and reads from it; null for training.</summary>
    internal CachePass? Cached { get; init; }

    /// <summary>What the adapters do in this pass; null where the model has none.</summary>
    internal LoraPass? Lora { get; init; }

    /// <summary>Where the sequences are in a packed row; null when they are the rows.</summary>
    internal PackedAttention? Packed { get; init; }

    /// <summary>A pass over a packed row.</summary>
    /// <param name="batch">The row.</param>
    /// <param name="config">The model.</param>
    /// <param name="type">Type of the hidden states.</param>
    internal static AttentionContext ForPacked(PackedBatch batch, Qwen2Config config, ScalarType type)
    {
        (Tensor cosine, Tensor signedSine) = RotaryEmbedding.Tables(batch.Positions, config, type);
        return new AttentionContext(cosine, signedSine, Mask: null) { Packed = batch.Attention };
    }

    /// <summary>The tensors, for whoever has to keep them alive; <see cref="With"/> takes them in this order.</summary>
    internal Tensor[] Tensors()
    {
        Tensor[] tables = [Cosine, SignedSine, .. Mask is null ? Array.Empty<Tensor>() : [Mask]];
        return Packed is null ? tables : [.. tables, Packed.PromptSlots, Packed.QuerySlots, Packed.KeySlots, Packed.Places, Packed.Mask];
    }

    /// <summary>The same pass with these tensors instead.</summary>
    internal AttentionContext With(IReadOnlyList<Tensor> tensors)
    {
        int next = Mask is null ? 2 : 3;
        return this with
        {
            Cosine = tensors[0],
            SignedSine = tensors[1],
            Mask = Mask is null ? null : tensors[2],
            Packed = Packed is null ? null : new PackedAttention(tensors[next], tensors[next + 1], tensors[next + 2], tensors[next + 3], tensors[next + 4]),
        };
    }

    /// <summary>A pass over whole sequences, each token seeing itself and what precedes it.</summary>
    /// <param name="tokenIds">[B, T] int64.</param>
    /// <param name="attentionMask">[B, T], non-zero for a real token; null when all are.</param>
    /// <param name="config">The model.</param>
    /// <param name="type">Type of the hidden states.</param>
    /// <returns>Tensors owned by the caller's scope.</returns>
    internal static AttentionContext ForSequences(Tensor tokenIds, Tensor? attentionMask, Qwen2Config config, ScalarType type)
    {
        using var scope = TensorScope.BeginNoGrad();
        long length = tokenIds.shape[1];
        Tensor positions = attentionMask is null
            ? arange(length, ScalarType.Int64, tokenIds.device).unsqueeze(0)                            // [1, T]
            : (attentionMask.ne(0).cumsum(1) - 1).clamp_min(0);                                         // [B, T]
        (Tensor cosine, Tensor signedSine) = RotaryEmbedding.Tables(positions, config, type);
        Tensor? mask = attentionMask is not null && HidesEarlierTokens(attentionMask) ? CausalMask(attentionMask, type) : null;
        return new AttentionContext(scope.Keep(cosine), scope.Keep(signedSine), mask is null ? null : scope.Keep(mask));
    }

    /// <summary>A pass over one new token a row, after those in the cache.</summary>
    /// <param name="positions">[B, 1] int64: tokens of each row before the new one.</param>
    /// <param name="cache">Holds them.</param>
    /// <param name="int8">The weights in 8 bits, or null for the model's own.</param>
    /// <param name="config">The model.</param>
    /// <param name="type">Type of the hidden states.</param>
    /// <returns>Tensors owned by the caller's scope.</returns>
    internal static AttentionContext ForNextTokens(
        Tensor positions, KeyValueCache cache, Int8Weights? int8, Qwen2Config config, ScalarType type)
    {
        using var scope = TensorScope.BeginNoGrad();
        (Tensor cosine, Tensor signedSine) = RotaryEmbedding.Tables(positions, config, type);
        var context = new AttentionContext(scope.Keep(cosine), scope.Keep(signedSine), Mask: null);
        if (cache.IsUniform)
        {
            return context with { Cached = new CachePass.NextTokens(cache, Places: null, int8) };
        }

        long rows = positions.shape[0];
        Tensor places = positions.view(rows, 1, 1, 1).expand(rows, config.KeyValueHeadCount, 1, config.HeadWidth);
        Tensor hidden = arange(cache.Longest + 1, ScalarType.Int64, positions.device).unsqueeze(0) > positions;  // [B, S]
        Tensor mask = zeros(hidden.shape, type, positions.device).masked_fill_(hidden, double.NegativeInfinity);
        return context with
        {
            Mask = scope.Keep(mask.view(rows, 1, 1, -1)),
            Cached = new CachePass.NextTokens(cache, scope.Keep(places), int8),
        };
    }

    /// <summary>
    /// Whether a real token stands after padding in some row. Only then does causality not suffice: padding on the right is behind
    /// every real token already. One synchronisation with the device per pass.
    /// </summary>
    internal static bool HidesEarlierTokens(Tensor attentionMask)
    {
        using var scope = TensorScope.BeginNoGrad();
        long length = attentionMask.shape[1];
        Tensor real = attentionMask.ne(0).to(ScalarType.Int8);
        return (real.narrow(1, 1, length - 1) > real.narrow(1, 0, length - 1)).any().item<bool>();
    }

    private static Tensor CausalMask(Tensor attentionMask, ScalarType type)
    {
        using var scope = TensorScope.BeginNoGrad();
        long length = attentionMask.shape[1];
        Device device = attentionMask.device;
        Tensor earlier = ones([length, length], ScalarType.Bool, device).tril();                         // [T, T]
        Tensor seen = earlier & attentionMask.ne(0).unsqueeze(1);                                        // [B, T, T]
        // Padding sees itself: a row without any visible position has no softmax, and a NaN there would reach the gradients.
        Tensor visible = seen | eye(length, dtype: ScalarType.Bool, device: device);
        Tensor mask = zeros(visible.shape, type, device).masked_fill_(visible.logical_not(), double.NegativeInfinity);
        return scope.Keep(mask.unsqueeze(1));                                                            // [B, 1, T, T]
    }
}

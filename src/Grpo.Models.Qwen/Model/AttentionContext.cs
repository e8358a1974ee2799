using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Cpu;
using Grpo.Models.Qwen.Lora;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Model;

/// <summary>The inputs that all layers of one forward pass share: rotary tables, attention mask, cache and adapter state.</summary>
/// <param name="Cosine">The cosines of the rotary angles, [B, T, 1, D].</param>
/// <param name="SignedSine">The sines of the rotary angles with the sign of the rotation, [B, T, 1, D].</param>
/// <param name="Mask">
/// The mask that is added to the attention scores: 0 at visible positions, −∞ at hidden ones. [B, 1, T, T] for whole sequences, [B, 1, 1,
/// S] for one new token. Null if causality alone decides (whole sequences) or every position is visible (one new token).
/// </param>
internal sealed record AttentionContext(Tensor Cosine, Tensor SignedSine, Tensor? Mask)
{
    /// <summary>The type of the hidden states.</summary>
    internal ScalarType Type => Cosine.dtype;

    /// <summary>The part of the key/value cache that the pass writes and reads; null without a cache, as in training.</summary>
    internal CachePass? Cached { get; init; }

    /// <summary>The state of the adapter in this pass; null if the model has none.</summary>
    internal LoraPass? Lora { get; init; }

    /// <summary>The layout of the sequences in a packed row; null if every row is a sequence.</summary>
    internal PackedAttention? Packed { get; init; }

    /// <summary>Creates the context of a pass over a packed row.</summary>
    /// <param name="batch">The packed row.</param>
    /// <param name="config">The configuration of the model.</param>
    /// <param name="type">The type of the hidden states.</param>
    internal static AttentionContext ForPacked(PackedBatch batch, DecoderConfig config, ScalarType type)
    {
        (Tensor cosine, Tensor signedSine) = RotaryEmbedding.Tables(batch.Positions, config, type);
        return new AttentionContext(cosine, signedSine, Mask: null) { Packed = batch.Attention };
    }

    /// <summary>
    /// Returns all tensors of the context, to be saved for a backward pass. <see cref="With"/> expects them in this order.
    /// </summary>
    internal Tensor[] Tensors()
    {
        Tensor[] tables = [Cosine, SignedSine, .. Mask is null ? Array.Empty<Tensor>() : [Mask]];
        return Packed is null
            ? tables
            : [.. tables, Packed.PromptSlots, Packed.QuerySlots, Packed.KeySlots, Packed.OutputIndices, Packed.Mask];
    }

    /// <summary>Returns the same context with other tensors.</summary>
    internal AttentionContext With(IReadOnlyList<Tensor> tensors)
    {
        int next = Mask is null ? 2 : 3;
        return this with
        {
            Cosine = tensors[0],
            SignedSine = tensors[1],
            Mask = Mask is null ? null : tensors[2],
            Packed = Packed is null
                ? null
                : new PackedAttention(tensors[next], tensors[next + 1], tensors[next + 2], tensors[next + 3], tensors[next + 4]),
        };
    }

    /// <summary>Creates the context of a pass over whole sequences, in which each token sees itself and all earlier ones.</summary>
    /// <param name="tokenIds">The token ids, [B, T] int64.</param>
    /// <param name="attentionMask">The mask, [B, T], non-zero for a real token; null if all tokens are real.</param>
    /// <param name="config">The configuration of the model.</param>
    /// <param name="type">The type of the hidden states.</param>
    /// <param name="hidesEarlierTokens">
    /// The result of <see cref="HidesEarlierTokens"/> if the caller knows it, which saves a wait for the device; null if not.
    /// </param>
    /// <returns>The context. The caller's scope owns its tensors.</returns>
    internal static AttentionContext ForSequences(
        Tensor tokenIds, Tensor? attentionMask, DecoderConfig config, ScalarType type, bool? hidesEarlierTokens = null)
    {
        using var scope = TensorScope.BeginNoGrad();
        long length = tokenIds.shape[1];
        Tensor positions = attentionMask is null
            ? arange(length, ScalarType.Int64, tokenIds.device).unsqueeze(0)                            // [1, T]
            : (attentionMask.ne(0).cumsum(1) - 1).clamp_min(0);                                         // [B, T]
        (Tensor cosine, Tensor signedSine) = RotaryEmbedding.Tables(positions, config, type);
        Tensor? mask = attentionMask is not null && (hidesEarlierTokens ?? HidesEarlierTokens(attentionMask))
            ? CausalMask(attentionMask, type)
            : null;
        return new AttentionContext(scope.Keep(cosine), scope.Keep(signedSine), mask is null ? null : scope.Keep(mask));
    }

    /// <summary>Creates the context of a pass over one new token per row, which continues the sequences in the cache.</summary>
    /// <param name="positions">The number of tokens in each row before the new one, [B, 1] int64.</param>
    /// <param name="cache">The cache with the earlier tokens.</param>
    /// <param name="int8">The weights in 8 bits; null means the model's own weights.</param>
    /// <param name="config">The configuration of the model.</param>
    /// <param name="table">The rotary tables of all positions of the cache, in the type of the hidden states.</param>
    /// <returns>The context. The caller's scope owns its tensors.</returns>
    internal static AttentionContext ForNextTokens(
        Tensor positions, KeyValueCache cache, Int8Weights? int8, DecoderConfig config, RotaryTable table)
    {
        using var scope = TensorScope.BeginNoGrad();
        (Tensor cosine, Tensor signedSine) = table.At(positions);
        var context = new AttentionContext(scope.Keep(cosine), scope.Keep(signedSine), Mask: null);
        if (cache.IsUniform)
        {
            return context with { Cached = new CachePass.NextTokens(cache, Indices: null, int8) };
        }

        long rows = positions.shape[0];
        Tensor indices = positions.view(rows, 1, 1, 1).expand(rows, config.KeyValueHeadCount, 1, config.HeadWidth);
        Tensor hidden = arange(cache.Longest + 1, ScalarType.Int64, positions.device).unsqueeze(0) > positions;  // [B, S]
        Tensor mask = zeros(hidden.shape, cosine.dtype, positions.device).masked_fill_(hidden, double.NegativeInfinity);
        return context with
        {
            Mask = scope.Keep(mask.view(rows, 1, 1, -1)),
            Cached = new CachePass.NextTokens(cache, scope.Keep(indices), int8),
        };
    }

    /// <summary>
    /// True if a real token follows padding in some row. Only then is a mask needed: padding on the right is hidden by causality.
    /// Waits for the device once.
    /// </summary>
    internal static bool HidesEarlierTokens(Tensor attentionMask)
    {
        using var scope = TensorScope.BeginNoGrad();
        long length = attentionMask.shape[1];
        Tensor real = attentionMask.ne(0).to(ScalarType.Int8);
        return DeviceTransfer.ToNumber<bool>((real.narrow(1, 1, length - 1) > real.narrow(1, 0, length - 1)).any());
    }

    private static Tensor CausalMask(Tensor attentionMask, ScalarType type)
    {
        using var scope = TensorScope.BeginNoGrad();
        long length = attentionMask.shape[1];
        Device device = attentionMask.device;
        Tensor earlier = ones([length, length], ScalarType.Bool, device).tril();                         // [T, T]
        Tensor seen = earlier & attentionMask.ne(0).unsqueeze(1);                                        // [B, T, T]
        // Padding sees itself. A row without visible positions would make softmax NaN, and the NaN would reach the gradients.
        Tensor visible = seen | eye(length, dtype: ScalarType.Bool, device: device);
        Tensor mask = zeros(visible.shape, type, device).masked_fill_(visible.bitwise_not(), double.NegativeInfinity);
        return scope.Keep(mask.unsqueeze(1));                                                            // [B, 1, T, T]
    }
}

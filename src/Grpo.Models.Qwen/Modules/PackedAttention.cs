using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>
/// Attention over a packed row of tokens: each prompt among itself, once; each completion over its prompt and itself. A prompt's keys and values
/// are gathered for every completion that has it, so that in the backward pass the gather sums what the completions ask of them.
/// </summary>
/// <param name="PromptSlots">[N, P] int64, below R.</param>
/// <param name="QuerySlots">[B, C] int64: the completions' tokens; C may be 0.</param>
/// <param name="KeySlots">[B, P + C] int64: what they may see, their prompt in front.</param>
/// <param name="Places">[R] int64: each token in [N·P | B·C].</param>
/// <param name="Mask">Added to the completions' scores, 0 or −∞: [B, 1, C, P + C], or [1, 1, C, P + C] when all prompts are equally long.</param>
internal sealed record PackedAttention(Tensor PromptSlots, Tensor QuerySlots, Tensor KeySlots, Tensor Places, Tensor Mask)
{
    /// <summary>Works out the indices.</summary>
    /// <param name="layout">Where the sequences are.</param>
    /// <param name="type">Type of the hidden states.</param>
    /// <param name="device">Where the tensors live.</param>
    internal static PackedAttention Of(PackedLayout layout, ScalarType type, Device device)
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor promptSlots = tensor(layout.PromptSlots()).to(device);                                    // [N, P]
        Tensor querySlots = tensor(layout.CompletionSlots()).to(device);                                 // [B, C]
        Tensor promptOfRow = tensor(layout.PromptOfRow.Select(prompt => (long)prompt).ToArray()).to(device);
        Tensor keySlots = cat([promptSlots.index_select(0, promptOfRow), querySlots], 1);                // [B, P + C]
        var attention = new PackedAttention(
            promptSlots, querySlots, keySlots, tensor(layout.Places()).to(device), CompletionMask(layout, type, device));
        return attention.MovedBy(scope);
    }

    /// <summary>Mixes the values.</summary>
    /// <param name="queries">[1, R, A, D].</param>
    /// <param name="keys">[1, R, K, D].</param>
    /// <param name="values">[1, R, K, D].</param>
    /// <returns>[1, R, A·D].</returns>
    internal Tensor Attend(Tensor queries, Tensor keys, Tensor values)
    {
        using var scope = TensorScope.Begin();
        long width = queries.shape[2] * queries.shape[3];
        Tensor mixed = Attend(queries, PromptSlots, keys, values, PromptSlots, mask: null).reshape(-1, width);
        if (QuerySlots.shape[1] > 0)
        {
            mixed = cat([mixed, Attend(queries, QuerySlots, keys, values, KeySlots, Mask).reshape(-1, width)], 0);
        }

        return scope.Keep(mixed.index_select(0, Places).unsqueeze(0));
    }

    /// <summary>Gives the tensors to the scope's outer one.</summary>
    internal PackedAttention MovedBy(in TensorScope scope) => new(
        scope.Keep(PromptSlots), scope.Keep(QuerySlots), scope.Keep(KeySlots), scope.Keep(Places), scope.Keep(Mask));

    // [rows, length, A, D]; causal where there is no mask: padding is on the right and sees, but is not seen.
    private static Tensor Attend(Tensor queries, Tensor querySlots, Tensor keys, Tensor values, Tensor keySlots, Tensor? mask)
    {
        using var scope = TensorScope.Begin();
        long share = queries.shape[2] / keys.shape[2];
        Tensor mixed = nn.functional.scaled_dot_product_attention(
            Gather(queries, querySlots, 1), Gather(keys, keySlots, share), Gather(values, keySlots, share), mask, is_casual: mask is null);
        return scope.Keep(mixed.transpose(1, 2));
    }

    // [1, R, heads, D] and [rows, length] → [rows, heads · share, length, D].
    private static Tensor Gather(Tensor heads, Tensor slots, long share)
    {
        using var scope = TensorScope.Begin();
        (long rows, long length, long count, long width) = (slots.shape[0], slots.shape[1], heads.shape[2], heads.shape[3]);
        Tensor gathered = heads.squeeze(0).index_select(0, slots.reshape(-1)).view(rows, length, count, width).transpose(1, 2);
        return scope.Keep(share == 1
            ? gathered
            : gathered.unsqueeze(2).expand(rows, count, share, length, width).reshape(rows, count * share, length, width));
    }

    private static Tensor CompletionMask(PackedLayout layout, ScalarType type, Device device)
    {
        using var scope = TensorScope.BeginNoGrad();
        (int promptLength, int completionLength) = (layout.PromptLength, layout.CompletionLength);
        int[] lengths = [.. layout.PromptOfRow.Select(prompt => layout.Prompts[prompt].Length)];
        long[] seen = Array.TrueForAll(lengths, length => length == promptLength) ? [promptLength] : [.. lengths.Select(length => (long)length)];
        Tensor prompt = arange(promptLength, ScalarType.Int64, device).lt(tensor(seen).to(device).view(-1, 1, 1));   // [B or 1, 1, P]
        Tensor own = ones([completionLength, completionLength], ScalarType.Bool, device).tril();                     // [C, C]
        Tensor visible = cat(
            [prompt.expand(seen.Length, completionLength, promptLength), own.unsqueeze(0).expand(seen.Length, completionLength, completionLength)], 2);
        Tensor mask = zeros(visible.shape, type, device).masked_fill_(visible.logical_not(), double.NegativeInfinity);
        return scope.Keep(mask.unsqueeze(1));
    }
}

using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Model;

/// <summary>Attention over a packed row: each prompt attends to itself, once, and each completion to its prompt and itself.</summary>
/// <remarks>
/// A prompt's keys and values are gathered for every completion that shares it. In the backward pass the gather sums the
/// gradients of these completions.
/// </remarks>
/// <param name="PromptSlots">The gather indices of the prompts' tokens, [N, P] int64, below R.</param>
/// <param name="QuerySlots">The gather indices of the completions' tokens, [B, C] int64; C may be 0.</param>
/// <param name="KeySlots">The gather indices of the tokens that a completion sees, its prompt first, [B, P + C] int64.</param>
/// <param name="OutputIndices">The index of each packed token in [N·P | B·C], [R] int64.</param>
/// <param name="Mask">
/// The mask that is added to the completions' scores, 0 or −∞: [B, 1, C, P + C], or [1, 1, C, P + C] if all prompts have the same length.
/// </param>
internal sealed record PackedAttention(Tensor PromptSlots, Tensor QuerySlots, Tensor KeySlots, Tensor OutputIndices, Tensor Mask)
{
    /// <summary>Computes the indices and the mask of a layout.</summary>
    /// <param name="layout">The layout of the sequences.</param>
    /// <param name="type">The type of the hidden states.</param>
    /// <param name="device">The device of the tensors.</param>
    internal static PackedAttention From(PackedLayout layout, ScalarType type, Device device)
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor promptSlots = DeviceTransfer.ToDevice(tensor(layout.PromptSlots(), device: CPU), device);      // [N, P]
        Tensor querySlots = DeviceTransfer.ToDevice(tensor(layout.CompletionSlots(), device: CPU), device);  // [B, C]
        Tensor keySlots = DeviceTransfer.ToDevice(tensor(layout.KeySlots(), device: CPU), device);         // [B, P + C]
        Tensor outputIndices = DeviceTransfer.ToDevice(layout.OutputIndices(), device);                      // [R]
        return new PackedAttention(promptSlots, querySlots, keySlots, outputIndices, CompletionMask(layout, type, device)).MovedBy(scope);
    }

    /// <summary>Computes the attention of all tokens.</summary>
    /// <param name="queries">The queries, [1, R, A, D].</param>
    /// <param name="keys">The keys, [1, R, K, D].</param>
    /// <param name="values">The values, [1, R, K, D].</param>
    /// <returns>The weighted values, [1, R, A·D].</returns>
    internal Tensor Attend(Tensor queries, Tensor keys, Tensor values)
    {
        TensorGuard.RequireSameDevice(PromptSlots, nameof(PromptSlots), queries);
        TensorGuard.RequireSameDevice(QuerySlots, nameof(QuerySlots), queries);
        TensorGuard.RequireSameDevice(KeySlots, nameof(KeySlots), queries);
        TensorGuard.RequireSameDevice(OutputIndices, nameof(OutputIndices), queries);
        TensorGuard.RequireSameDevice(Mask, nameof(Mask), queries);
        using var scope = TensorScope.Begin();
        long width = queries.shape[2] * queries.shape[3];
        Tensor mixed = Attend(queries, PromptSlots, keys, values, PromptSlots, mask: null).reshape(-1, width);
        if (QuerySlots.shape[1] > 0)
        {
            mixed = cat([mixed, Attend(queries, QuerySlots, keys, values, KeySlots, Mask).reshape(-1, width)], 0);
        }

        return scope.Keep(mixed.index_select(0, OutputIndices).unsqueeze(0));
    }

    /// <summary>Moves the tensors to the enclosing scope.</summary>
    internal PackedAttention MovedBy(in TensorScope scope) => new(
        scope.Keep(PromptSlots), scope.Keep(QuerySlots), scope.Keep(KeySlots), scope.Keep(OutputIndices), scope.Keep(Mask));

    // Queries [rows, length, A, D]. Causal if there is no mask: padding is on the right, so no real token sees it.
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
        long[] seen = Array.TrueForAll(lengths, length => length == promptLength)
            ? [promptLength]
            : [.. lengths.Select(length => (long)length)];
        Tensor lengthsSeen = DeviceTransfer.ToDevice(seen, device, seen.Length, 1, 1);
        Tensor prompt = arange(promptLength, ScalarType.Int64, device).lt(lengthsSeen);                              // [B or 1, 1, P]
        Tensor own = ones([completionLength, completionLength], ScalarType.Bool, device).tril();                     // [C, C]
        Tensor visible = cat(
            [
                prompt.expand(seen.Length, completionLength, promptLength),
                own.unsqueeze(0).expand(seen.Length, completionLength, completionLength),
            ], 2);
        Tensor mask = zeros(visible.shape, type, device).masked_fill_(visible.bitwise_not(), double.NegativeInfinity);
        return scope.Keep(mask.unsqueeze(1));
    }
}

/// <summary>A range of consecutive tokens of a packed row.</summary>
/// <param name="Start">The index of the first token.</param>
/// <param name="Length">The number of tokens; it may be 0.</param>
internal readonly record struct PackedSpan(int Start, int Length);

/// <summary>The positions of a batch's sequences in its packed row of R tokens.</summary>
/// <param name="Prompts">The N prompts, in order from token 0.</param>
/// <param name="Completions">The B completions, in order after the prompts.</param>
/// <param name="PromptOfRow">The prompt of each completion, B numbers below N.</param>
internal sealed record PackedLayout(PackedSpan[] Prompts, PackedSpan[] Completions, int[] PromptOfRow)
{
    /// <summary>The length of the longest prompt, P.</summary>
    internal int PromptLength => Prompts.Max(span => span.Length);

    /// <summary>The length of the longest completion, C.</summary>
    internal int CompletionLength => Completions.Max(span => span.Length);

    /// <summary>Returns the tokens of the prompts, padded on the right with token 0: [N, P], below R.</summary>
    internal long[,] PromptSlots() => Slots(Prompts, PromptLength);

    /// <summary>Returns the tokens of the completions, padded on the right with token 0: [B, C].</summary>
    internal long[,] CompletionSlots() => Slots(Completions, CompletionLength);

    /// <summary>Returns the tokens that each completion sees, its prompt first, padded on the right of each part: [B, P + C].</summary>
    internal long[,] KeySlots()
    {
        (long[,] prompts, long[,] completions) = (PromptSlots(), CompletionSlots());
        (int promptLength, int completionLength) = (PromptLength, CompletionLength);
        var slots = new long[Completions.Length, promptLength + completionLength];
        for (int row = 0; row < Completions.Length; row++)
        {
            for (int t = 0; t < promptLength; t++)
            {
                slots[row, t] = prompts[PromptOfRow[row], t];
            }

            for (int t = 0; t < completionLength; t++)
            {
                slots[row, promptLength + t] = completions[row, t];
            }
        }

        return slots;
    }

    /// <summary>Returns the index of every packed token in [N·P prompts | B·C completions]: [R].</summary>
    internal long[] OutputIndices()
    {
        int behindPrompts = Prompts.Length * PromptLength;
        return
        [
            .. OutputIndices(Prompts, PromptLength),
            .. OutputIndices(Completions, CompletionLength).Select(index => behindPrompts + index),
        ];
    }

    private static long[,] Slots(PackedSpan[] spans, int width)
    {
        var slots = new long[spans.Length, width];
        for (int i = 0; i < spans.Length; i++)
        {
            for (int t = 0; t < spans[i].Length; t++)
            {
                slots[i, t] = spans[i].Start + t;
            }
        }

        return slots;
    }

    private static IEnumerable<long> OutputIndices(PackedSpan[] spans, int width) =>
        spans.SelectMany((span, i) => Enumerable.Range(0, span.Length).Select(t => ((long)i * width) + t));
}

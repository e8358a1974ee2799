namespace Grpo.Models.Qwen.Model;

/// <summary>Consecutive tokens of a packed row.</summary>
/// <param name="Start">The first.</param>
/// <param name="Length">How many; may be 0.</param>
internal readonly record struct PackedSpan(int Start, int Length);

/// <summary>Where the sequences of a batch are in its packed row of R tokens.</summary>
/// <param name="Prompts">N prompts, in order from token 0 on.</param>
/// <param name="Completions">B completions, in order behind them.</param>
/// <param name="PromptOfRow">B numbers below N.</param>
internal sealed record PackedLayout(PackedSpan[] Prompts, PackedSpan[] Completions, int[] PromptOfRow)
{
    /// <summary>Longest prompt, P.</summary>
    internal int PromptLength => Prompts.Max(span => span.Length);

    /// <summary>Longest completion, C.</summary>
    internal int CompletionLength => Completions.Max(span => span.Length);

    /// <summary>Tokens of the prompts, padded on the right: [N, P], below R; padding is token 0.</summary>
    internal long[,] PromptSlots() => Slots(Prompts, PromptLength);

    /// <summary>Tokens of the completions, padded on the right: [B, C].</summary>
    internal long[,] CompletionSlots() => Slots(Completions, CompletionLength);

    /// <summary>For every packed token its place in [N·P prompts | B·C completions]: [R].</summary>
    internal long[] Places()
    {
        int behindPrompts = Prompts.Length * PromptLength;
        return [.. Places(Prompts, PromptLength), .. Places(Completions, CompletionLength).Select(place => behindPrompts + place)];
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

    private static IEnumerable<long> Places(PackedSpan[] spans, int width) =>
        spans.SelectMany((span, i) => Enumerable.Range(0, span.Length).Select(t => ((long)i * width) + t));
}

using Grpo.Planning;

namespace Grpo.Models.Qwen;

/// <summary>The tokens of a pass over whole sequences of equal lengths.</summary>
/// <param name="Prompts">Distinct prompts, N.</param>
/// <param name="Sequences">B.</param>
/// <param name="PromptLength">P.</param>
/// <param name="CompletionLength">C; 0 when only prompts are run.</param>
/// <param name="IsPacked">Whether each prompt is there once (<see cref="PackedBatch"/>).</param>
internal readonly record struct PassTokens(long Prompts, long Sequences, long PromptLength, long CompletionLength, bool IsPacked)
{
    /// <summary>Of a micro-batch.</summary>
    internal static PassTokens OfMicroBatch(MemorySizes sizes) => new(
        sizes.MicroBatchPrompts, sizes.MicroBatchSequences, sizes.PromptLength, sizes.CompletionLength,
        IsPacked: sizes.SharesPrompts && sizes.MicroBatchPrompts < sizes.MicroBatchSequences);

    /// <summary>Of the prompts that a rollout begins with.</summary>
    internal static PassTokens OfPrompts(MemorySizes sizes) => new(
        sizes.DecodedPrompts, sizes.DecodedPrompts, sizes.PromptLength, CompletionLength: 0, IsPacked: false);

    /// <summary>Tokens that norms, projections and MLP see, R. The last token of a completion predicts nothing and is left out.</summary>
    internal long Count => IsPacked ? (Prompts * PromptLength) + (Sequences * Fed) : Sequences * (PromptLength + Fed);

    /// <summary>Keys that the attention sees, S: packed, a completion sees a copy of its prompt's.</summary>
    internal long Keys => IsPacked ? (Prompts * PromptLength) + (Sequences * (PromptLength + Fed)) : Count;

    /// <summary>Completion tokens, whose log-probs are asked for, M.</summary>
    internal long Predicted => Sequences * CompletionLength;

    /// <summary>Numbers of the attention's mask. Several prompts are taken to be of different lengths.</summary>
    internal long Mask => CompletionLength == 0 ? 0
        : IsPacked ? (Prompts == 1 ? 1 : Sequences) * Fed * (PromptLength + Fed)
        : Prompts == 1 ? 0 : Sequences * (PromptLength + Fed) * (PromptLength + Fed);

    private long Fed => Math.Max(CompletionLength - 1, 0);
}

using Grpo.Models.Qwen.Model;
using Grpo.Planning;

namespace Grpo.Models.Qwen.Planning;

/// <summary>The token counts of a pass over whole sequences of equal lengths.</summary>
/// <param name="Prompts">The number of distinct prompts, N.</param>
/// <param name="Sequences">The number of sequences, B.</param>
/// <param name="PromptLength">The length of a prompt, P.</param>
/// <param name="CompletionLength">The length of a completion, C; 0 if only prompts are run.</param>
/// <param name="IsPacked">True if each prompt is processed once (<see cref="PackedBatch"/>).</param>
internal readonly record struct PassTokens(long Prompts, long Sequences, long PromptLength, long CompletionLength, bool IsPacked)
{
    /// <summary>Computes the tokens of a micro-batch.</summary>
    internal static PassTokens ForMicroBatch(MemorySizes sizes) => new(
        sizes.MicroBatchPrompts, sizes.MicroBatchSequences, sizes.PromptLength, sizes.CompletionLength,
        IsPacked: sizes.SharesPrompts && sizes.MicroBatchPrompts < sizes.MicroBatchSequences);

    /// <summary>Computes the tokens of the prompts with which a rollout begins.</summary>
    internal static PassTokens ForPrompts(MemorySizes sizes) => new(
        sizes.DecodedPrompts, sizes.DecodedPrompts, sizes.PromptLength, CompletionLength: 0, IsPacked: false);

    /// <summary>
    /// The number of tokens that norms, projections and MLP see, R. The last token of a completion predicts nothing and is left out.
    /// </summary>
    internal long Count => IsPacked ? (Prompts * PromptLength) + (Sequences * Fed) : Sequences * (PromptLength + Fed);

    /// <summary>The number of keys that the attention sees, S. In a packed row each completion sees a copy of its prompt's keys.</summary>
    internal long Keys => IsPacked ? (Prompts * PromptLength) + (Sequences * (PromptLength + Fed)) : Count;

    /// <summary>The number of completion tokens, for which log-probs are computed, M.</summary>
    internal long Predicted => Sequences * CompletionLength;

    /// <summary>The number of elements of the attention mask. Several prompts are assumed to have different lengths.</summary>
    internal long Mask => CompletionLength == 0 ? 0
        : IsPacked ? (Prompts == 1 ? 1 : Sequences) * Fed * (PromptLength + Fed)
        : Prompts == 1 ? 0 : Sequences * (PromptLength + Fed) * (PromptLength + Fed);

    private long Fed => Math.Max(CompletionLength - 1, 0);
}

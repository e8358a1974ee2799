namespace Grpo.Models.Qwen.Text;

/// <summary>The parts of a family's tokenizer that training does not learn.</summary>
/// <param name="Pipeline">The settings of the tokenizer.</param>
/// <param name="ChatTokens">The special tokens of its chats.</param>
/// <param name="End">The special token that ends a message.</param>
/// <param name="Begin">The special token that begins a text; null if the family has none.</param>
internal sealed record TrainedKind(TokenizerPipeline Pipeline, IReadOnlyList<string> ChatTokens, string End, string? Begin = null)
{
    private static readonly string[] ChatMarkup = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];

    private static readonly string[] Llama3Chat =
        ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"];

    /// <summary>Returns the parts of a family.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The value is not a family.</exception>
    public static TrainedKind Of(TokenizerKind kind) => kind switch
    {
        TokenizerKind.Qwen2 => new(TokenizerPipeline.Qwen2, ChatMarkup, "<|im_end|>"),
        TokenizerKind.Llama3 => new(
            new TokenizerPipeline(WordRules.Llama3, IsComposed: false) { TakesWholeWords = true },
            Llama3Chat,
            "<|eot_id|>",
            "<|begin_of_text|>"),
        TokenizerKind.SmolLM2 => new(new TokenizerPipeline(WordRules.SmolLM2, IsComposed: false), ChatMarkup, "<|im_end|>"),
        TokenizerKind.Gpt2 => new(new TokenizerPipeline(WordRules.Gpt2, IsComposed: false), ["<|endoftext|>"], "<|endoftext|>"),
        _ => throw new ArgumentOutOfRangeException(
            nameof(kind), kind, $"The kind must be one of {string.Join(", ", Enum.GetNames<TokenizerKind>())}."),
    };
}

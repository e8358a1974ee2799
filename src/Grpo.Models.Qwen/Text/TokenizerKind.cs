namespace Grpo.Models.Qwen.Text;

/// <summary>Families of byte-level tokenizers, which differ in how they split text into words.</summary>
public enum TokenizerKind
{
    /// <summary>Qwen2, Qwen2.5 and Qwen3: normalization form C, and each digit is a word.</summary>
    Qwen2,

    /// <summary>Llama 3: no normalization, up to three digits in a word, and a word of the vocabulary is not merged.</summary>
    Llama3,

    /// <summary>SmolLM2: GPT-2's words, between digits that each are a word.</summary>
    SmolLM2,

    /// <summary>GPT-2: no normalization, and a number of any length with the space before it is a word.</summary>
    Gpt2,
}

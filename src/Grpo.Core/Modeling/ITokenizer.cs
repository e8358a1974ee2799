using Grpo.Rollouts;

namespace Grpo.Modeling;

/// <summary>A tokenizer, which encodes text as token ids and decodes ids to text.</summary>
public interface ITokenizer
{
    /// <summary>The number of ids, including added tokens. Every id is below it. The model's embedding may be larger.</summary>
    int VocabularySize { get; }

    /// <summary>The ids that end a completion, such as 151645 and 151643 for Qwen2.5.</summary>
    /// <remarks>
    /// A chat template may close messages with another token. A run uses <see cref="PromptEncoder.EndTokenIds"/>, which includes that one.
    /// </remarks>
    IReadOnlySet<int> EndTokenIds { get; }

    /// <summary>The id that fills unused positions. It may be an end token, since masks mark padding by position and not by id.</summary>
    int PadTokenId { get; }

    /// <summary>Encodes text. Special tokens that are written in it are recognized.</summary>
    /// <param name="text">The text to encode.</param>
    /// <returns>The token ids in order.</returns>
    IReadOnlyList<int> Encode(string text);

    /// <summary>Decodes ids to text. Invalid bytes become U+FFFD, and an incomplete character at the end is left out.</summary>
    /// <param name="tokenIds">The token ids to decode.</param>
    /// <param name="skipSpecialTokens">True to leave special tokens out of the text.</param>
    /// <returns>The text.</returns>
    string Decode(IReadOnlyList<int> tokenIds, bool skipSpecialTokens = true);
}

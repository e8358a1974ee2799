using Grpo.Rollouts;

namespace Grpo.Modeling;

/// <summary>Text to token ids and back.</summary>
public interface ITokenizer
{
    /// <summary>Number of ids, added tokens included; every id is below it. The model's embedding may be larger.</summary>
    int VocabularySize { get; }

    /// <summary>The ids that end a completion (for Qwen2.5 both 151645 and 151643).</summary>
    /// <remarks>
    /// A chat template may close messages with another one. <see cref="PromptEncoder.EndTokenIds"/> joins both, and is what a run asks.
    /// </remarks>
    IReadOnlySet<int> EndTokenIds { get; }

    /// <summary>The id that fills unused positions. It may be an end token: padding is told by position, never by id.</summary>
    int PadTokenId { get; }

    /// <summary>Encodes text; special tokens written in it are recognised.</summary>
    /// <param name="text">The text.</param>
    IReadOnlyList<int> Encode(string text);

    /// <summary>Decodes ids; bytes that do not form a character become U+FFFD, and a character still incomplete at the end is left out.</summary>
    /// <param name="tokenIds">The ids.</param>
    /// <param name="skipSpecialTokens">Leave special tokens out of the text.</param>
    string Decode(IReadOnlyList<int> tokenIds, bool skipSpecialTokens = true);
}

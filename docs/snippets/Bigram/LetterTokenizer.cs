using Grpo.Modeling;
using Microsoft.Extensions.AI;

namespace Grpo.Snippets;

/// <summary>a to z, and a full stop that ends a completion.</summary>
public sealed class LetterTokenizer : ITokenizer
{
    private const int End = 26;

    public int VocabularySize => 27;

    public IReadOnlySet<int> EndTokenIds { get; } = new HashSet<int> { End };

    public int PadTokenId => End;

    public IReadOnlyList<int> Encode(string text) => [.. text.Select(letter => letter switch
    {
        '.' => End,
        >= 'a' and <= 'z' => letter - 'a',
        _ => throw new ArgumentException($"'{letter}' is not a letter from a to z.", nameof(text)),
    })];

    public string Decode(IReadOnlyList<int> tokenIds, bool skipSpecialTokens = true) =>
        string.Concat(tokenIds.Where(id => id != End || !skipSpecialTokens).Select(id => id == End ? '.' : (char)('a' + id)));
}

/// <summary>No roles and no headers: the model is given the last message as it is.</summary>
public sealed class LastMessageTemplate : IChatTemplate
{
    public string Render(IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt = true) => messages[^1].Text;
}

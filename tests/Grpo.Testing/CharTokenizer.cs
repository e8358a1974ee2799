using Grpo.Modeling;

namespace Grpo.Testing;

/// <summary>
/// A token per character, for tests whose expected values are worked out by hand: id 0 pads, id 1 ends, the letters follow.
/// </summary>
public sealed class CharTokenizer : ITokenizer
{
    /// <summary>The id that ends a completion.</summary>
    public const int End = 1;

    private const int FirstLetter = 2;

    private readonly string _letters;

    /// <summary>Creates the tokenizer.</summary>
    /// <param name="letters">The characters it knows, each once; the first has id 2.</param>
    public CharTokenizer(string letters)
    {
        ArgumentException.ThrowIfNullOrEmpty(letters);
        _letters = letters;
    }

    /// <inheritdoc/>
    public int VocabularySize => _letters.Length + FirstLetter;

    /// <inheritdoc/>
    public IReadOnlySet<int> EndTokenIds { get; } = new HashSet<int> { End };

    /// <inheritdoc/>
    public int PadTokenId => 0;

    /// <inheritdoc/>
    public IReadOnlyList<int> Encode(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return [.. text.Select(Id)];
    }

    /// <summary>The id of a letter.</summary>
    /// <param name="letter">One of the letters.</param>
    public int Id(char letter) => _letters.IndexOf(letter, StringComparison.Ordinal) is >= 0 and int index
        ? index + FirstLetter
        : throw new ArgumentException($"'{letter}' is not one of the letters '{_letters}'.", nameof(letter));

    /// <inheritdoc/>
    public string Decode(IReadOnlyList<int> tokenIds, bool skipSpecialTokens = true)
    {
        ArgumentNullException.ThrowIfNull(tokenIds);
        return string.Concat(tokenIds.Select(
            id => id >= FirstLetter ? _letters[id - FirstLetter].ToString() : skipSpecialTokens ? "" : id == End ? "." : "_"));
    }
}

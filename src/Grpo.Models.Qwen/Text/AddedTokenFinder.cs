using System.Buffers;

namespace Grpo.Models.Qwen.Text;

/// <summary>Finds the leftmost added token in raw text; of several that start there, the longest.</summary>
internal sealed class AddedTokenFinder
{
    private readonly SearchValues<string> _contents;
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _idByContent;
    private readonly int[] _lengthsDescending;

    public AddedTokenFinder(IReadOnlyCollection<AddedToken> tokens)
    {
        _contents = SearchValues.Create([.. tokens.Select(token => token.Content)], StringComparison.Ordinal);
        _idByContent = tokens.ToDictionary(token => token.Content, token => token.Id, StringComparer.Ordinal)
            .GetAlternateLookup<ReadOnlySpan<char>>();
        _lengthsDescending = [.. tokens.Select(token => token.Content.Length).Distinct().OrderDescending()];
    }

    /// <summary>Finds the first added token in the text. Returns false if there is none.</summary>
    public bool TryFind(ReadOnlySpan<char> text, out int start, out int length, out int id)
    {
        start = text.IndexOfAny(_contents);
        if (start >= 0)
        {
            foreach (int candidate in _lengthsDescending)
            {
                if (candidate <= text.Length - start && _idByContent.TryGetValue(text.Slice(start, candidate), out id))
                {
                    length = candidate;
                    return true;
                }
            }
        }

        (length, id) = (0, -1);
        return false;
    }
}

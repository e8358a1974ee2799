using System.Text;

namespace Grpo.Models.Qwen.Text;

/// <summary>The counts behind <see cref="BpeTrainer"/>: words as ids, pairs with their frequencies, and a heap of pairs.</summary>
internal sealed class PairLearner
{
    private readonly List<(int[] Ids, long Count)> _words = [];
    private readonly Dictionary<(int Left, int Right), (long Count, HashSet<int> Words)> _pairs = [];
    private readonly PriorityQueue<((int Left, int Right) Pair, long Count), (long, int, int)> _candidates = new();
    private readonly HashSet<(int Left, int Right)> _changed = [];
    private readonly Dictionary<string, int> _idOfToken = new(StringComparer.Ordinal);
    private readonly List<string> _tokens = [];
    private readonly List<(string Left, string Right)> _merges = [];

    public PairLearner(Dictionary<string, long> wordCounts)
    {
        var idOfByte = new int[256];
        foreach (byte value in ByteAlphabet.BytesByCharacter)
        {
            idOfByte[value] = AddToken(ByteAlphabet.ToChar(value).ToString());
        }

        foreach ((string word, long count) in wordCounts)
        {
            _words.Add(([.. Encoding.UTF8.GetBytes(word).Select(value => idOfByte[value])], count));
            CountPairs(_words.Count - 1, sign: 1);
        }

        OfferChanged();
    }

    /// <summary>The tokens by id, as a vocabulary file writes them.</summary>
    public IReadOnlyList<string> Tokens => _tokens;

    public IReadOnlyList<(string Left, string Right)> Merges => _merges;

    /// <summary>Merges the most frequent pair everywhere. Returns false if no word has two tokens left.</summary>
    public bool MergeMostFrequent()
    {
        while (_candidates.TryDequeue(out var candidate, out _))
        {
            // A pair whose count has changed is in the heap again with its new count.
            if (_pairs.TryGetValue(candidate.Pair, out var entry) && entry.Count == candidate.Count)
            {
                Merge(candidate.Pair, [.. entry.Words]);
                return true;
            }
        }

        return false;
    }

    private void Merge((int Left, int Right) pair, int[] words)
    {
        string merged = _tokens[pair.Left] + _tokens[pair.Right];
        _merges.Add((_tokens[pair.Left], _tokens[pair.Right]));

        // Two pairs can spell the same token, as a|bc and ab|c do. The token keeps its id.
        int id = _idOfToken.TryGetValue(merged, out int known) ? known : AddToken(merged);
        foreach (int word in words)
        {
            CountPairs(word, sign: -1);
            _words[word] = (Replace(_words[word].Ids, pair, id), _words[word].Count);
            CountPairs(word, sign: 1);
        }

        OfferChanged();
    }

    private static int[] Replace(int[] ids, (int Left, int Right) pair, int merged)
    {
        var result = new List<int>(ids.Length);
        for (int i = 0; i < ids.Length; i++)
        {
            bool isPair = i + 1 < ids.Length && (ids[i], ids[i + 1]) == pair;
            result.Add(isPair ? merged : ids[i]);
            i += isPair ? 1 : 0;
        }

        return [.. result];
    }

    private void CountPairs(int word, int sign)
    {
        (int[] ids, long count) = _words[word];
        for (int i = 0; i + 1 < ids.Length; i++)
        {
            (int Left, int Right) pair = (ids[i], ids[i + 1]);
            (long total, HashSet<int> words) = _pairs.TryGetValue(pair, out var entry) ? entry : (0, []);
            if (sign > 0)
            {
                words.Add(word);
            }
            else
            {
                words.Remove(word);
            }

            _pairs[pair] = (total + sign * count, words);
            _changed.Add(pair);
        }
    }

    private void OfferChanged()
    {
        foreach ((int Left, int Right) pair in _changed)
        {
            long count = _pairs[pair].Count;
            if (count == 0)
            {
                _pairs.Remove(pair);
            }
            else
            {
                _candidates.Enqueue((pair, count), (-count, pair.Left, pair.Right));
            }
        }

        _changed.Clear();
    }

    private int AddToken(string token)
    {
        _idOfToken.Add(token, _tokens.Count);
        _tokens.Add(token);
        return _tokens.Count - 1;
    }
}

using System.Text;
using Grpo.IO;

namespace Grpo.Models.Qwen.Text;

/// <summary>The bytes and the kind of every token by id, in two arrays, for decoding.</summary>
internal sealed class TokenTable
{
    private readonly byte[] _bytes;
    private readonly int[] _offsets;         // [Count + 1] into _bytes
    private readonly HashSet<int> _special;

    private TokenTable(byte[] bytes, int[] offsets, HashSet<int> special)
    {
        _bytes = bytes;
        _offsets = offsets;
        _special = special;
    }

    public int Count => _offsets.Length - 1;

    public ReadOnlySpan<byte> this[int id] => _bytes.AsSpan(_offsets[id].._offsets[id + 1]);

    public bool IsSpecial(int id) => _special.Contains(id);

    /// <summary>Separates the added tokens from the vocabulary and checks that the ids of both run from 0 to N − 1.</summary>
    public static TokenTable Create(ByteLevelVocabulary vocabulary, IReadOnlyList<AddedToken> addedTokens)
    {
        foreach (AddedToken token in addedTokens)
        {
            if (vocabulary.Ids.Remove(token.Content, out int id) && id != token.Id)
            {
                throw new InvalidDataException(
                    $"'{vocabulary.IdsFile}': the token '{TerminalText.EscapeLine(token.Content)}' has the id "
                    + $"{id}, but as an added token {token.Id}.");
            }
        }

        string?[] contents = new string?[vocabulary.Ids.Count + addedTokens.Count];
        foreach ((string content, int id) in vocabulary.Ids.Concat(
            addedTokens.Select(token => KeyValuePair.Create(token.Content, token.Id))))
        {
            if (id >= contents.Length)
            {
                throw new InvalidDataException(
                    $"'{vocabulary.IdsFile}': there are {contents.Length} tokens, but '{TerminalText.EscapeLine(content)}' has the id "
                    + $"{id}. Ids must run from 0 to {contents.Length - 1} without gaps; "
                    + $"tokens are missing, perhaps added tokens ({TokenizerFiles.Configuration}).");
            }

            if (contents[id] is { } other)
            {
                throw new InvalidDataException(
                    $"'{vocabulary.IdsFile}': the tokens '{TerminalText.EscapeLine(other)}' and "
                    + $"'{TerminalText.EscapeLine(content)}' have the same id {id}.");
            }

            contents[id] = content;
        }

        // The ids are distinct, below N, and as many as there are tokens. So every entry is filled now.
        var added = addedTokens.Select(token => token.Id).ToHashSet();
        var bytes = new MemoryStream();
        var offsets = new int[contents.Length + 1];
        for (int id = 0; id < contents.Length; id++)
        {
            WriteBytes(bytes, contents[id]!, isByteLevel: !added.Contains(id), vocabulary.IdsFile);
            offsets[id + 1] = checked((int)bytes.Length);
        }

        return new TokenTable(bytes.ToArray(), offsets, addedTokens.Where(token => token.IsSpecial).Select(token => token.Id).ToHashSet());
    }

    private static void WriteBytes(MemoryStream bytes, string content, bool isByteLevel, string file)
    {
        if (!isByteLevel)
        {
            bytes.Write(Encoding.UTF8.GetBytes(content));
            return;
        }

        foreach (char character in content)
        {
            bytes.WriteByte(ByteAlphabet.TryToByte(character, out byte value)
                ? value
                : throw new InvalidDataException(
                    $"'{file}': the token '{TerminalText.EscapeLine(content)}' holds U+{(int)character:X4}, which stands for no byte. "
                    + "The vocabulary is not byte-level."));
        }
    }
}

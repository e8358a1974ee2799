using System.Text;
using Grpo.IO;
using Microsoft.ML.Tokenizers;

namespace Grpo.Models.Qwen.Text;

/// <summary>Byte-level BPE of normalized text, without added tokens. Thread-safe.</summary>
/// <remarks>
/// Microsoft.ML.Tokenizers merges and caches words (10,000 of at most 15 bytes). Its cost grows with the square of a word's length, so
/// words longer than <see cref="LongWord"/> go to <see cref="LongWordMerger"/>.
/// </remarks>
internal sealed class BytePairEncoder
{
    /// <summary>The number of UTF-16 units above which a word counts as long.</summary>
    public const int LongWord = 1024;

    private readonly BpeTokenizer _bpe;
    private readonly LongWordMerger _longWords;
    private readonly int _longWord;

    private BytePairEncoder(BpeTokenizer bpe, LongWordMerger longWords, int longWord)
    {
        _bpe = bpe;
        _longWords = longWords;
        _longWord = longWord;
    }

    public static BytePairEncoder Create(ByteLevelVocabulary vocabulary, int longWord = LongWord)
    {
        var idOfByte = new int[256];
        for (int value = 0; value < 256; value++)
        {
            idOfByte[value] = vocabulary.Ids.TryGetValue(ByteAlphabet.ToChar((byte)value).ToString(), out int id)
                ? id
                : throw new InvalidDataException(
                    $"'{vocabulary.IdsFile}': the byte 0x{value:X2} ('{ByteAlphabet.ToChar((byte)value)}') has no token, so not every text "
                    + "could be encoded.");
        }

        MergeTable merges = CheckMerges(vocabulary);
        BpeTokenizer bpe = BpeTokenizer.Create(new BpeOptions(vocabulary.Ids)
        {
            Merges = vocabulary.Merges.Select(merge => $"{merge.Left} {merge.Right}"),
            PreTokenizer = Qwen2PreTokenizer.Instance,
            ByteLevel = true,
        });
        return new BytePairEncoder(bpe, new LongWordMerger(merges, idOfByte), longWord);
    }

    /// <summary>Appends the ids of a text in normalization form C.</summary>
    public void Encode(ReadOnlySpan<char> text, List<int> ids)
    {
        if (text.Length <= _longWord || !HasLongWord(text))
        {
            ids.AddRange(_bpe.EncodeToIds(text, considerNormalization: false));
            return;
        }

        for (int start = 0; start < text.Length;)
        {
            int end = Qwen2PreTokenizer.EndOfWord(text, start);
            EncodeWord(text[start..end], ids);
            start = end;
        }
    }

    private void EncodeWord(ReadOnlySpan<char> word, List<int> ids)
    {
        if (word.Length <= _longWord)
        {
            ids.AddRange(_bpe.EncodeToIds(word, considerPreTokenization: false, considerNormalization: false));
            return;
        }

        var utf8 = new byte[Encoding.UTF8.GetByteCount(word)];
        Encoding.UTF8.GetBytes(word, utf8);
        _longWords.Encode(utf8, ids);
    }

    private bool HasLongWord(ReadOnlySpan<char> text)
    {
        for (int start = 0; start < text.Length;)
        {
            int end = Qwen2PreTokenizer.EndOfWord(text, start);
            if (end - start > _longWord)
            {
                return true;
            }

            start = end;
        }

        return false;
    }

    private static MergeTable CheckMerges(ByteLevelVocabulary vocabulary)
    {
        var table = new MergeTable(vocabulary.Merges.Count);
        for (int rank = 0; rank < vocabulary.Merges.Count; rank++)
        {
            (string left, string right) = vocabulary.Merges[rank];
            var merge = new Merge(rank, IdOf(left + right));
            if (!table.TryAdd(IdOf(left), IdOf(right), merge))
            {
                throw new InvalidDataException(
                    $"'{vocabulary.MergesFile}': the merge '{TerminalText.EscapeLine($"{left} {right}")}' "
                    + $"is listed twice (second at {rank}).");
            }

            int IdOf(string token) => vocabulary.Ids.TryGetValue(token, out int id)
                ? id
                : throw new InvalidDataException(
                    $"'{vocabulary.MergesFile}': merge {rank}, '{TerminalText.EscapeLine($"{left} {right}")}', needs the token "
                    + $"'{TerminalText.EscapeLine(token)}', which '{vocabulary.IdsFile}' lacks. "
                    + "The two belong to different vocabularies, or one is cut off.");
        }

        return table;
    }
}

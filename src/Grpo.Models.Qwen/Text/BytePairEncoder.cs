using System.Buffers;
using System.Text;
using System.Text.Unicode;
using Grpo.IO;
using Microsoft.ML.Tokenizers;

namespace Grpo.Models.Qwen.Text;

/// <summary>Byte-level BPE of normalized text, without added tokens. Thread-safe.</summary>
/// <remarks>
/// Microsoft.ML.Tokenizers merges and caches words (10,000 of at most 15 bytes). Its cost grows with the square of a word's length, so
/// words longer than <see cref="LongWord"/> go to <see cref="LongWordMerger"/>. So do words with a byte that has no token: it is left out
/// before merging, and its neighbors may merge.
/// </remarks>
internal sealed class BytePairEncoder
{
    /// <summary>The number of UTF-16 units above which a word counts as long.</summary>
    public const int LongWord = 1024;

    private readonly BpeTokenizer _bpe;
    private readonly WordScanner _scanner;
    private readonly LongWordMerger _longWords;
    private readonly int _longWord;
    private readonly SearchValues<byte>? _dropped;
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>>? _wholeWords;

    private BytePairEncoder(ByteLevelVocabulary vocabulary, WordScanner scanner, LongWordMerger longWords, int longWord)
    {
        _bpe = BpeTokenizer.Create(new BpeOptions(vocabulary.Ids)
        {
            Merges = vocabulary.Merges.Select(merge => $"{merge.Left} {merge.Right}"),
            PreTokenizer = scanner,
            ByteLevel = true,
        });
        _scanner = scanner;
        _longWords = longWords;
        _longWord = longWord;
        byte[] dropped = [.. ByteAlphabet.BytesOfText.Where(value => !HasToken(vocabulary, value))];
        _dropped = dropped.Length > 0 ? SearchValues.Create(dropped) : null;
        _wholeWords = vocabulary.Pipeline.TakesWholeWords ? WholeWords(vocabulary.Ids).GetAlternateLookup<ReadOnlySpan<char>>() : null;
    }

    public static BytePairEncoder Create(ByteLevelVocabulary vocabulary, int longWord = LongWord)
    {
        var idOfByte = new int[256];
        foreach (byte value in ByteAlphabet.BytesOfText)
        {
            if (!vocabulary.Ids.TryGetValue(ByteAlphabet.ToChar(value).ToString(), out idOfByte[value])
                && !vocabulary.Pipeline.DropsUnknownBytes)
            {
                throw new InvalidDataException(
                    $"'{vocabulary.IdsFile}': the byte 0x{value:X2} ('{ByteAlphabet.ToChar(value)}') has no token, so not every text "
                    + "could be encoded.");
            }
        }

        var longWords = new LongWordMerger(CheckMerges(vocabulary), idOfByte);
        return new BytePairEncoder(vocabulary, new WordScanner(vocabulary.Pipeline.Words), longWords, longWord);
    }

    /// <summary>Appends the ids of a text that <see cref="TokenizerPipeline.Normalize"/> returned.</summary>
    public void Encode(ReadOnlySpan<char> text, List<int> ids)
    {
        if (_wholeWords is null && !HasDroppedByte(text) && (text.Length <= _longWord || !HasLongWord(text)))
        {
            ids.AddRange(_bpe.EncodeToIds(text, considerNormalization: false));
            return;
        }

        for (int start = 0; start < text.Length;)
        {
            int end = _scanner.EndOfWord(text, start);
            EncodeWord(text[start..end], ids);
            start = end;
        }
    }

    private void EncodeWord(ReadOnlySpan<char> word, List<int> ids)
    {
        if (_wholeWords is { } wholeWords && wholeWords.TryGetValue(word, out int id))
        {
            ids.Add(id);
            return;
        }

        if (word.Length <= _longWord && !HasDroppedByte(word))
        {
            ids.AddRange(_bpe.EncodeToIds(word, considerPreTokenization: false, considerNormalization: false));
            return;
        }

        byte[] utf8 = Utf8Of(word);
        _longWords.Encode(_dropped is { } dropped ? [.. utf8.Where(value => !dropped.Contains(value))] : utf8, ids);
    }

    private bool HasDroppedByte(ReadOnlySpan<char> text) => _dropped is not null && Utf8Of(text).AsSpan().ContainsAny(_dropped);

    private static byte[] Utf8Of(ReadOnlySpan<char> text)
    {
        var utf8 = new byte[Encoding.UTF8.GetByteCount(text)];
        Encoding.UTF8.GetBytes(text, utf8);
        return utf8;
    }

    private bool HasLongWord(ReadOnlySpan<char> text)
    {
        for (int start = 0; start < text.Length;)
        {
            int end = _scanner.EndOfWord(text, start);
            if (end - start > _longWord)
            {
                return true;
            }

            start = end;
        }

        return false;
    }

    private static bool HasToken(ByteLevelVocabulary vocabulary, byte value) =>
        vocabulary.Ids.ContainsKey(ByteAlphabet.ToChar(value).ToString());

    // Tokens that hold part of a character are no words, and one that is no bytes is refused where the tokens are decoded.
    private static Dictionary<string, int> WholeWords(Dictionary<string, int> ids)
    {
        var words = new Dictionary<string, int>(ids.Count, StringComparer.Ordinal);
        foreach ((string token, int id) in ids)
        {
            byte[] bytes = ByteAlphabet.ToBytes(token);
            if (Utf8.IsValid(bytes))
            {
                words.Add(Encoding.UTF8.GetString(bytes), id);
            }
        }

        return words;
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

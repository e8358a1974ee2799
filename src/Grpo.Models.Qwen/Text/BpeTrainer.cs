using System.Text;
using System.Text.Json;

namespace Grpo.Models.Qwen.Text;

/// <summary>Trains byte-level byte-pair tokenizers that split words as those of a model family do, for your own models.</summary>
/// <remarks>
/// The ids are the 256 bytes in Qwen's order, then the merges in learned order, then the special tokens. The most frequent pair is merged
/// first; of equally frequent pairs the one with the smallest ids. So the order of the texts does not matter. Digits of Qwen2 and SmolLM2
/// never merge, because every digit is a word.
/// </remarks>
public static class BpeTrainer
{
    /// <summary>
    /// Trains a tokenizer. <see cref="QwenTokenizer.Save"/> writes it for <see cref="QwenTokenizer.Load"/> and for transformers.
    /// </summary>
    /// <param name="texts">The training texts, which are enumerated once. Special tokens in them are cut out.</param>
    /// <param name="vocabularySize">The number of tokens, special ones included. At least 256 plus the number of special tokens.</param>
    /// <param name="specialTokens">
    /// The special tokens. Null means <c>&lt;|endoftext|&gt;</c>, <c>&lt;|im_start|&gt;</c>, <c>&lt;|im_end|&gt;</c>, or those of Llama 3's
    /// chats. The first one pads. <c>&lt;|im_end|&gt;</c> (Llama 3: <c>&lt;|eot_id|&gt;</c>), or the first one if that is missing, ends a
    /// completion, and so does <c>&lt;|endoftext|&gt;</c>.
    /// </param>
    /// <param name="kind">
    /// The family whose words the tokenizer has. Qwen2's is saved as <c>vocab.json</c> and <c>merges.txt</c>, the others as
    /// <c>tokenizer.json</c>.
    /// </param>
    /// <exception cref="ArgumentException">
    /// The size is out of range, a special token is empty or doubled, or the texts have too few pairs.
    /// </exception>
    public static QwenTokenizer Train(
        IEnumerable<string> texts,
        int vocabularySize,
        IReadOnlyList<string>? specialTokens = null,
        TokenizerKind kind = TokenizerKind.Qwen2)
    {
        ArgumentNullException.ThrowIfNull(texts);
        TrainedKind trained = TrainedKind.Of(kind);
        return QwenTokenizer.Create(TrainFiles(texts, vocabularySize, specialTokens ?? trained.ChatTokens, trained));
    }

    /// <summary>Trains a tokenizer with any settings, and returns its files.</summary>
    internal static TokenizerFiles TrainFiles(
        IEnumerable<string> texts, int vocabularySize, IReadOnlyList<string> specialTokens, TrainedKind trained)
    {
        if (specialTokens.Count == 0 || specialTokens.Any(string.IsNullOrEmpty)
            || specialTokens.Distinct(StringComparer.Ordinal).Count() < specialTokens.Count)
        {
            throw new ArgumentException(
                $"Special tokens must be at least one, none empty, none twice, but are ['{string.Join("', '", specialTokens)}'].",
                nameof(specialTokens));
        }

        int learned = vocabularySize - specialTokens.Count;
        if (learned < 256)
        {
            throw new ArgumentOutOfRangeException(
                nameof(vocabularySize),
                vocabularySize,
                $"The vocabulary size must be at least {256 + specialTokens.Count}: 256 bytes and {specialTokens.Count} special tokens.");
        }

        AddedToken[] added = [.. specialTokens.Select((content, i) => new AddedToken(learned + i, content, IsSpecial: true))];
        var merger = new PairLearner(CountWords(texts, new AddedTokenFinder(added), trained.Pipeline));
        while (merger.Tokens.Count < learned)
        {
            if (!merger.MergeMostFrequent())
            {
                throw new ArgumentException(
                    $"The texts hold no more pairs after {merger.Tokens.Count} tokens; {learned} and {specialTokens.Count} special ones "
                    + "were asked for. Give more text or a smaller vocabulary size.",
                    nameof(vocabularySize));
            }
        }

        return Write(merger, added, trained);
    }

    private static TokenizerFiles Write(PairLearner learned, AddedToken[] added, TrainedKind kind)
    {
        bool Has(string content) => added.Any(token => token.Content == content);
        var names = new SpecialTokenNames(
            Has(kind.End) ? kind.End : added[0].Content, added[0].Content, kind.Begin is { } begin && Has(begin) ? begin : null);
        var contents = new Dictionary<string, byte[]>(StringComparer.Ordinal)
        {
            [TokenizerFiles.Configuration] = TokenizerConfiguration.Write(added, names, kind.Pipeline),
        };
        if (kind.Pipeline.IsQwen2)
        {
            contents.Add(TokenizerFiles.Vocabulary, WriteVocabulary(learned.Tokens));
            contents.Add(TokenizerFiles.Merges, WriteMerges(learned.Merges));
        }
        else
        {
            AddedToken? first = names.Begin is null ? null : added.First(token => token.Content == names.Begin);
            contents.Add(TokenizerFiles.Tokenizer, TokenizerJsonFile.Write(learned.Tokens, learned.Merges, added, kind.Pipeline, first));
        }

        return new TokenizerFiles("a trained vocabulary", contents);
    }

    private static Dictionary<string, long> CountWords(
        IEnumerable<string> texts, AddedTokenFinder specialTokens, TokenizerPipeline pipeline)
    {
        var scanner = new WordScanner(pipeline.Words);
        var counts = new Dictionary<string, long>(StringComparer.Ordinal);
        foreach (string text in texts)
        {
            int position = 0;
            while (specialTokens.TryFind(text.AsSpan(position), out int start, out int length, out _))
            {
                CountSpan(text.Substring(position, start));
                position += start + length;
            }

            CountSpan(text[position..]);
        }

        return counts;

        void CountSpan(string raw)
        {
            string span = pipeline.Normalize(raw);
            for (int start = 0; start < span.Length;)
            {
                int end = scanner.EndOfWord(span, start);
                string word = span[start..end];
                counts[word] = counts.GetValueOrDefault(word) + 1;
                start = end;
            }
        }
    }

    private static byte[] WriteVocabulary(IReadOnlyList<string> tokens)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, TokenizerConfiguration.Indented))
        {
            json.WriteStartObject();
            for (int id = 0; id < tokens.Count; id++)
            {
                json.WriteNumber(tokens[id], id);
            }

            json.WriteEndObject();
        }

        return stream.ToArray();
    }

    private static byte[] WriteMerges(IReadOnlyList<(string Left, string Right)> merges) =>
        Encoding.UTF8.GetBytes("#version: 0.2\n" + string.Concat(merges.Select(merge => $"{merge.Left} {merge.Right}\n")));
}

using System.Buffers;
using System.Text;
using Grpo.IO;
using Grpo.Modeling;
using Grpo.Models.Qwen.Text;

namespace Grpo.Models.Qwen;

/// <summary>The byte-level byte-pair tokenizer of a Qwen2, Qwen3, Llama 3, SmolLM2 or GPT-2 checkpoint. Thread-safe.</summary>
/// <remarks>
/// Added tokens are cut out of the raw text. Each span between them is normalized, split into words and encoded by byte-pair merging, as
/// the checkpoint's <c>tokenizer.json</c> says. Without that file, the class in <c>tokenizer_config.json</c> decides between Qwen2's and
/// GPT-2's words.
/// </remarks>
public sealed class QwenTokenizer : ITokenizer, IHasIdentity
{
    private readonly TokenizerFiles _files;
    private readonly TokenTable _tokens;
    private readonly TokenizerPipeline _pipeline;
    private readonly BytePairEncoder _encoder;
    private readonly AddedTokenFinder _rawTokens;
    private readonly AddedTokenFinder? _normalizedTokens;
    private readonly IReadOnlyList<AddedToken> _added;
    private readonly Dictionary<string, int> _addedIds;
    private readonly string _merges;
    private readonly IReadOnlySet<int> _endsOfFiles;

    private QwenTokenizer(TokenizerFiles files, ByteLevelVocabulary vocabulary, IReadOnlyList<AddedToken> addedTokens)
    {
        _files = files;
        _pipeline = vocabulary.Pipeline;
        _tokens = TokenTable.Create(vocabulary, addedTokens);
        _encoder = BytePairEncoder.Create(vocabulary);
        _rawTokens = new AddedTokenFinder([.. addedTokens.Where(token => !token.IsNormalized)]);
        _normalizedTokens = FinderOfNormalized(files, addedTokens, _pipeline);
        _added = addedTokens;
        _addedIds = addedTokens.ToDictionary(token => token.Content, token => token.Id, StringComparer.Ordinal);
        _merges = TokenizerIdentity.DescribeMerges(vocabulary.Merges);

        int? IdOf(string content) =>
            _addedIds.TryGetValue(content, out int id) || vocabulary.Ids.TryGetValue(content, out id) ? id : null;
        _endsOfFiles = EndTokenIds = SpecialTokenIds.ReadEnds(files, IdOf, _tokens.Count);
        PadTokenId = SpecialTokenIds.ReadPad(files, IdOf, _tokens.Count, EndTokenIds);
        PrefixTokenIds = SpecialTokenIds.ReadPrefix(files, IdOf, _tokens.Count, _pipeline.Prefix);
    }

    /// <inheritdoc/>
    /// <remarks>151,665 for Qwen2.5, whose models have 151,936 or more embedding rows.</remarks>
    public int VocabularySize => _tokens.Count;

    /// <inheritdoc/>
    /// <remarks>
    /// <c>eos_token_id</c> of <c>generation_config.json</c>. Without that file, the end tokens that <c>config.json</c> and
    /// <c>tokenizer_config.json</c> name, and <c>&lt;|endoftext|&gt;</c>. In a <see cref="QwenPretrained"/> also the token with which its
    /// chat template closes a message.
    /// </remarks>
    public IReadOnlySet<int> EndTokenIds { get; private set; }

    /// <inheritdoc/>
    /// <remarks>
    /// <c>pad_token</c> of <c>tokenizer_config.json</c>, else <c>pad_token_id</c> of <c>generation_config.json</c>, else
    /// <c>&lt;|endoftext|&gt;</c>, else the end token with the lowest id, as Llama 3 names no padding.
    /// </remarks>
    public int PadTokenId { get; }

    /// <summary>
    /// The ids that transformers puts before a text that no chat template rendered, such as Llama 3's <c>&lt;|begin_of_text|&gt;</c>.
    /// </summary>
    /// <remarks>
    /// <c>add_bos_token</c> of <c>tokenizer_config.json</c> decides, else the post-processor of <c>tokenizer.json</c>. <see cref="Encode"/>
    /// adds none, because a chat template writes them into its text: they would stand there twice. Empty for Qwen and SmolLM2.
    /// </remarks>
    public IReadOnlyList<int> PrefixTokenIds { get; }

    /// <inheritdoc/>
    /// <value>
    /// The tokens with their ids, the merges, and the added, special, end and padding tokens. The files are not part of it, because they
    /// can be written in several ways.
    /// </value>
    public PlugInIdentity Identity => TokenizerIdentity.Create(_tokens, _merges, _addedIds.Values, _pipeline)
        .With("end tokens", string.Join(", ", EndTokenIds.Order()))
        .With("pad token", PadTokenId);

    /// <summary>The files that the tokenizer was read from, in memory.</summary>
    internal TokenizerFiles Files => _files;

    /// <summary>The folder that the tokenizer was read from, for messages.</summary>
    internal string Source => _files.Source;

    /// <summary>The settings by which text becomes ids.</summary>
    internal TokenizerPipeline Pipeline => _pipeline;

    /// <summary>The ids of the added tokens (<c>&lt;|im_start|&gt;</c>, …) by their text.</summary>
    public IReadOnlyDictionary<string, int> AddedTokens => _addedIds;

    /// <summary>
    /// Loads the tokenizer of a folder: <c>tokenizer.json</c>, or if that is missing <c>vocab.json</c> and <c>merges.txt</c>.
    /// </summary>
    /// <remarks>
    /// Added tokens are read from <c>tokenizer.json</c>, <c>tokenizer_config.json</c> and <c>added_tokens.json</c>. If none lists any, a
    /// vocabulary of Qwen2.5's size (151,643) gets Qwen2.5's 22.
    /// </remarks>
    /// <param name="directory">A folder in Hugging Face layout. It is not read again after loading.</param>
    /// <exception cref="DirectoryNotFoundException">The folder does not exist.</exception>
    /// <exception cref="FileNotFoundException">The folder holds no tokenizer; the message lists the expected files.</exception>
    /// <exception cref="InvalidDataException">
    /// A file is damaged, too large, contradicts another, or names a setting that changes ids and is not known.
    /// </exception>
    public static QwenTokenizer Load(string directory)
    {
        ArgumentException.ThrowIfNullOrEmpty(directory);
        return Create(TokenizerFiles.Read(directory));
    }

    internal static QwenTokenizer Create(TokenizerFiles files)
    {
        TokenizerSettings.RequireKnown(files);
        ByteLevelVocabulary vocabulary = ByteLevelVocabulary.Read(files);
        return new QwenTokenizer(files, vocabulary, AddedTokenReader.Read(files, vocabulary));
    }

    /// <inheritdoc/>
    /// <remarks>
    /// Text from outside (a user, a data set, a model) can forge messages this way; see <see cref="EncodeUntrusted"/>. Nothing is put
    /// before or behind the text; see <see cref="PrefixTokenIds"/>. Some vocabularies, such as SmolLM2's, lack tokens for rare bytes.
    /// Those bytes are left out, as in Hugging Face's tokenizers.
    /// </remarks>
    /// <exception cref="NotSupportedException">The text must be normalized and the process runs without Unicode's tables.</exception>
    public IReadOnlyList<int> Encode(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var ids = new List<int>();
        int position = 0;
        while (_rawTokens.TryFind(text.AsSpan(position), out int start, out int length, out int id))
        {
            EncodeSpan(text.Substring(position, start), ids, _normalizedTokens);
            ids.Add(id);
            position += start + length;
        }

        EncodeSpan(text[position..], ids, _normalizedTokens);
        return ids;
    }

    /// <summary>Encodes text and treats <c>&lt;|im_end|&gt;</c> and all other added tokens in it as ordinary characters.</summary>
    /// <param name="text">The text.</param>
    /// <returns>The ids, all from the byte-pair vocabulary. None is an end token or a message border.</returns>
    /// <exception cref="NotSupportedException">The text must be normalized and the process runs without Unicode's tables.</exception>
    public IReadOnlyList<int> EncodeUntrusted(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var ids = new List<int>();
        EncodeSpan(text, ids, added: null);
        return ids;
    }

    /// <inheritdoc/>
    /// <remarks>
    /// An id of <see cref="VocabularySize"/> or above is a spare row of the model's embedding. It has no text, as in transformers.
    /// The marks of thoughts, &lt;think&gt; and &lt;/think&gt;, are never left out, although some checkpoints declare them special: without
    /// them nothing would tell a thought from the answer.
    /// </remarks>
    /// <exception cref="ArgumentOutOfRangeException">An id is negative.</exception>
    public string Decode(IReadOnlyList<int> tokenIds, bool skipSpecialTokens = true)
    {
        ArgumentNullException.ThrowIfNull(tokenIds);
        var bytes = new ArrayBufferWriter<byte>();
        for (int i = 0; i < tokenIds.Count; i++)
        {
            int id = tokenIds[i];
            if (id < 0)
            {
                throw new ArgumentOutOfRangeException(nameof(tokenIds), id, $"Id {i} is negative; ids run from 0 to {VocabularySize - 1}.");
            }

            if (id < _tokens.Count && !(skipSpecialTokens && _tokens.IsSpecial(id) && !IsThoughtMark(_tokens[id])))
            {
                bytes.Write(_tokens[id]);
            }
        }

        return Encoding.UTF8.GetString(WithoutIncompleteTail(bytes.WrittenSpan));
    }

    private static bool IsThoughtMark(ReadOnlySpan<byte> token) => token.SequenceEqual("<think>"u8) || token.SequenceEqual("</think>"u8);

    /// <summary>
    /// Writes the tokenizer's files byte for byte as they were loaded, including <c>generation_config.json</c>, which names the end tokens.
    /// </summary>
    /// <remarks>
    /// If the chat template closes messages with a token that the files do not name, <c>generation_config.json</c> is written with that
    /// token. If there was no <c>tokenizer_config.json</c>, one is created, so that transformers recognizes the tokenizer.
    /// </remarks>
    /// <param name="directory">The folder. It is created if missing, and files of these names in it are replaced.</param>
    /// <exception cref="IOException">The folder cannot be written.</exception>
    public void Save(string directory)
    {
        ArgumentException.ThrowIfNullOrEmpty(directory);
        _files.Save(directory);
        if (_files.Find(TokenizerFiles.Configuration) is null)
        {
            File.WriteAllBytes(Path.Combine(directory, TokenizerFiles.Configuration), MakeConfiguration());
        }

        if (!EndTokenIds.SetEquals(_endsOfFiles))
        {
            File.WriteAllBytes(Path.Combine(directory, TokenizerFiles.Generation), SpecialTokenIds.WriteEnds(_files, EndTokenIds));
        }
    }

    /// <summary>Returns the same tokenizer with other end tokens.</summary>
    internal QwenTokenizer WithEndTokens(IReadOnlySet<int> endTokenIds)
    {
        var copy = (QwenTokenizer)MemberwiseClone();
        copy.EndTokenIds = endTokenIds;
        return copy;
    }

    private byte[] MakeConfiguration()
    {
        string TextOf(int id) => Encoding.UTF8.GetString(_tokens[id]);
        int end = _addedIds.TryGetValue("<|im_end|>", out int id) && EndTokenIds.Contains(id) ? id : EndTokenIds.Min();
        return TokenizerConfiguration.Write(_added, new SpecialTokenNames(TextOf(end), TextOf(PadTokenId)), _pipeline);
    }

    private static AddedTokenFinder? FinderOfNormalized(
        TokenizerFiles files, IReadOnlyList<AddedToken> added, TokenizerPipeline pipeline)
    {
        AddedToken[] normalized =
            [.. added.Where(token => token.IsNormalized).Select(token => token with { Content = pipeline.Normalize(token.Content) })];
        string? twice = normalized.GroupBy(token => token.Content, StringComparer.Ordinal).FirstOrDefault(same => same.Count() > 1)?.Key;
        if (twice is not null)
        {
            throw new InvalidDataException(
                $"The tokenizer in '{files.Source}' has two added tokens with the text "
                + $"'{TerminalText.EscapeLine(twice)}' in normalization form C.");
        }

        return normalized.Length > 0 ? new AddedTokenFinder(normalized) : null;
    }

    private void EncodeSpan(string text, List<int> ids, AddedTokenFinder? added)
    {
        if (text.Length == 0)
        {
            return;
        }

        ReadOnlySpan<char> rest = _pipeline.Normalize(text);
        while (added is not null && added.TryFind(rest, out int start, out int length, out int id))
        {
            EncodeWords(rest[..start], ids);
            ids.Add(id);
            rest = rest[(start + length)..];
        }

        EncodeWords(rest, ids);
    }

    private void EncodeWords(ReadOnlySpan<char> text, List<int> ids)
    {
        if (!text.IsEmpty)
        {
            _encoder.Encode(text, ids);
        }
    }

    // The last three bytes may begin a character whose other bytes have not been sampled yet.
    private static ReadOnlySpan<byte> WithoutIncompleteTail(ReadOnlySpan<byte> utf8)
    {
        for (int length = 1; length <= Math.Min(3, utf8.Length); length++)
        {
            if (utf8[^length] >= 0xC0)
            {
                return Rune.DecodeFromUtf8(utf8[^length..], out _, out _) == OperationStatus.NeedMoreData ? utf8[..^length] : utf8;
            }
        }

        return utf8;
    }
}

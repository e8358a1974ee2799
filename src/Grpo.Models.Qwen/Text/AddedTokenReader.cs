using System.Globalization;
using System.Text.Json;
using Grpo.Models.Qwen.Config;

namespace Grpo.Models.Qwen.Text;

/// <summary>Collects the added tokens from all files that list them and refuses contradictions.</summary>
internal sealed class AddedTokenReader
{
    /// <summary>The size of Qwen2.5's vocabulary without added tokens.</summary>
    public const int Qwen25VocabularySize = 151_643;

    private static readonly string[] Qwen25Special =
    [
        "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>",
        "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>",
    ];

    private static readonly string[] Qwen25Ordinary =
    [
        "<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>",
    ];

    private readonly Dictionary<string, (AddedToken Token, string File)> _byContent = new(StringComparer.Ordinal);
    // Sorted, not hashed: a file could choose numbers that all collide in a hash table.
    private readonly SortedDictionary<int, string> _contentOfId = [];

    private AddedTokenReader()
    {
    }

    /// <summary>The 22 added tokens of Qwen2.5, whose ids follow the 151,643 of its vocabulary.</summary>
    public static IReadOnlyList<AddedToken> Qwen25 { get; } =
    [
        .. Qwen25Special.Select((content, i) => new AddedToken(Qwen25VocabularySize + i, content, IsSpecial: true)),
        .. Qwen25Ordinary.Select(
            (content, i) => new AddedToken(Qwen25VocabularySize + Qwen25Special.Length + i, content, IsSpecial: false)),
    ];

    /// <summary>
    /// Returns the added tokens of all files together. If no file lists any, those that the class of the tokenizer adds: Qwen2.5's own
    /// for a vocabulary of Qwen2.5's size, and <c>&lt;|endoftext|&gt;</c> for GPT-2.
    /// </summary>
    public static IReadOnlyList<AddedToken> Read(TokenizerFiles files, ByteLevelVocabulary vocabulary)
    {
        var reader = new AddedTokenReader();
        reader.ReadTokenizer(files);
        reader.ReadConfiguration(files);
        reader.ReadAddedTokens(files);
        if (reader._byContent.Count > 0)
        {
            return [.. reader._byContent.Values.Select(entry => entry.Token).OrderBy(token => token.Id)];
        }

        return vocabulary.Ids.Count == Qwen25VocabularySize ? Qwen25
            : files.Find(TokenizerFiles.Tokenizer) is null && vocabulary.Pipeline.Words == WordRules.Gpt2
                && vocabulary.Ids.TryGetValue(Qwen25Special[0], out int endOfText)
            ? [new AddedToken(endOfText, Qwen25Special[0], IsSpecial: true)]
            : [];
    }

    private void ReadTokenizer(TokenizerFiles files)
    {
        using JsonFile? json = Open(files, TokenizerFiles.Tokenizer);
        if (json is not null && JsonFile.TryGet(json.Root, "added_tokens", out _))
        {
            foreach (JsonElement token in json.Require(json.Root, "added_tokens", JsonValueKind.Array).EnumerateArray())
            {
                Add(json, json.Id(json.Require(token, "id", JsonValueKind.Number), "The id of an added token"), token);
            }
        }
    }

    private void ReadConfiguration(TokenizerFiles files)
    {
        using JsonFile? json = Open(files, TokenizerFiles.Configuration);
        if (json is not null && JsonFile.TryGet(json.Root, "added_tokens_decoder", out _))
        {
            foreach (JsonProperty entry in json.Require(json.Root, "added_tokens_decoder", JsonValueKind.Object).EnumerateObject())
            {
                if (!int.TryParse(entry.Name, NumberStyles.None, CultureInfo.InvariantCulture, out int id))
                {
                    throw json.Error($"'{entry.Name}' in added_tokens_decoder is not an id.");
                }

                Add(json, id, entry.Value);
            }
        }
    }

    private void ReadAddedTokens(TokenizerFiles files)
    {
        using JsonFile? json = Open(files, TokenizerFiles.AddedTokens);
        if (json is null)
        {
            return;
        }

        HashSet<string> special = SpecialContents(files);
        foreach (JsonProperty entry in json.Root.EnumerateObject())
        {
            // This older file does not say which tokens are special. Another file may have said it already.
            bool isSpecial = _byContent.TryGetValue(entry.Name, out var known) ? known.Token.IsSpecial : special.Contains(entry.Name);
            Add(json, new AddedToken(json.Id(entry.Value, $"The id of '{entry.Name}'"), entry.Name, isSpecial));
        }
    }

    private static HashSet<string> SpecialContents(TokenizerFiles files)
    {
        var contents = new HashSet<string>(Qwen25Special, StringComparer.Ordinal);
        foreach (string name in (ReadOnlySpan<string>)[TokenizerFiles.Configuration, TokenizerFiles.SpecialTokens])
        {
            using JsonFile? json = Open(files, name);
            if (json is null)
            {
                continue;
            }

            foreach (string property in (ReadOnlySpan<string>)["bos_token", "eos_token", "pad_token", "unk_token"])
            {
                if (SpecialTokenIds.ReadContent(json, property) is { } content)
                {
                    contents.Add(content);
                }
            }

            if (JsonFile.TryGet(json.Root, "additional_special_tokens", out JsonElement more) && more.ValueKind == JsonValueKind.Array)
            {
                contents.UnionWith(
                    more.EnumerateArray().Select(token => SpecialTokenIds.ContentOf(json, token, "additional_special_tokens")));
            }
        }

        return contents;
    }

    private void Add(JsonFile json, int id, JsonElement token)
    {
        string content = json.Require(token, "content", JsonValueKind.String).GetString()!;
        foreach (string flag in (ReadOnlySpan<string>)["lstrip", "rstrip", "single_word"])
        {
            if (JsonFile.TryGet(token, flag, out JsonElement value) && value.ValueKind == JsonValueKind.True)
            {
                throw json.Error($"The added token '{content}' has {flag} = true, which is not implemented; it must be false.");
            }
        }

        Add(json, new AddedToken(id, content, IsTrue("special"), IsTrue("normalized")));

        bool IsTrue(string flag) => JsonFile.TryGet(token, flag, out JsonElement value) && value.ValueKind == JsonValueKind.True;
    }

    private void Add(JsonFile json, AddedToken token)
    {
        if (token.Content.Length == 0)
        {
            throw json.Error($"The added token {token.Id} has no text.");
        }

        if (_byContent.TryGetValue(token.Content, out var known))
        {
            if (known.Token.Id != token.Id)
            {
                throw json.Error($"The added token '{token.Content}' has the id {token.Id}, but {known.Token.Id} in '{known.File}'.");
            }

            return;
        }

        if (!_contentOfId.TryAdd(token.Id, token.Content))
        {
            throw json.Error($"The added tokens '{_contentOfId[token.Id]}' and '{token.Content}' have the same id {token.Id}.");
        }

        _byContent.Add(token.Content, (token, json.FilePath));
    }

    private static JsonFile? Open(TokenizerFiles files, string name) =>
        files.Find(name) is { } content ? new JsonFile(files.PathOf(name), content) : null;
}

/// <summary>A token outside the byte-pair vocabulary, which is cut out of the text before the text is split into words.</summary>
/// <param name="Id">The id.</param>
/// <param name="Content">The text.</param>
/// <param name="IsSpecial">True if decoding can leave it out; <c>&lt;tool_call&gt;</c>, for example, is added but not special.</param>
/// <param name="IsNormalized">True if the normalized text is searched for its normalized form, instead of the raw text.</param>
internal readonly record struct AddedToken(int Id, string Content, bool IsSpecial, bool IsNormalized = false);

using System.Text.Json;
using Grpo.IO;
using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Text;

namespace Grpo.Models.Qwen.Export;

/// <summary>The tokenizer in the metadata of a GGUF file.</summary>
internal sealed class GgufVocabulary
{
    // The numbers of llama_token_type.
    private const int Normal = 1;
    private const int Control = 3;
    private const int UserDefined = 4;
    private const int Unused = 5;

    // Tokens that llama.cpp takes for ends by their text, whatever the metadata say. Newer versions know more of them.
    private static readonly HashSet<string> KnownEnds = new(StringComparer.Ordinal)
    {
        "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|end|>", "<end_of_turn>",
    };

    // llama.cpp names a pre-tokenizer by the model that it was first read from. The name also decides whether whole words are taken.
    private static readonly (WordRules Words, bool TakesWholeWords, string Name)[] PreTokenizers =
    [
        (WordRules.Qwen2, false, "qwen2"), (WordRules.Llama3, true, "llama-bpe"), (WordRules.SmolLM2, false, "smollm"),
        (WordRules.Gpt2, false, "gpt-2"),
    ];

    private readonly string[] _tokens;
    private readonly int[] _types;
    private readonly string[] _merges;
    private readonly List<(string Role, int Id)> _special = [];
    private readonly List<string> _warnings = [];
    private readonly bool _addsBos;
    private readonly string _preTokenizer;

    private GgufVocabulary(QwenTokenizer tokenizer, int rows)
    {
        TokenizerFiles files = tokenizer.Files;
        ByteLevelVocabulary vocabulary = ByteLevelVocabulary.Read(files);
        IReadOnlyList<AddedToken> added = AddedTokenReader.Read(files, vocabulary);
        _tokens = new string[rows];
        _types = new int[rows];
        foreach ((string token, int id) in vocabulary.Ids)
        {
            (_tokens[id], _types[id]) = (token, Normal);
        }

        // An added token may also be listed in the vocabulary. Its text is plain, not in the alphabet of bytes.
        foreach (AddedToken token in added)
        {
            (_tokens[token.Id], _types[token.Id]) = (token.Content, token.IsSpecial || LooksSpecial(token.Content) ? Control : UserDefined);
        }

        NameUnusedRows();
        _merges = [.. vocabulary.Merges.Select(merge => $"{merge.Left} {merge.Right}")];
        AddSpecialTokens(tokenizer);
        _addsBos = tokenizer.PrefixTokenIds.Count > 0;
        _preTokenizer = NameOf(vocabulary.Pipeline);
    }

    /// <summary>A sentence for each difference to the tokenizer in llama.cpp.</summary>
    internal IReadOnlyList<string> Warnings => _warnings;

    /// <summary>Reads the tokens, merges and special tokens of a tokenizer.</summary>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="rows">The number of rows of the embedding. Those without a token are written as unused tokens.</param>
    internal static GgufVocabulary Create(QwenTokenizer tokenizer, int rows) => new(tokenizer, rows);

    /// <summary>Writes the metadata.</summary>
    internal void Describe(GgufFile file)
    {
        file.Add("tokenizer.ggml.model", "gpt2");
        file.Add("tokenizer.ggml.pre", _preTokenizer);
        file.Add("tokenizer.ggml.tokens", _tokens);
        file.Add("tokenizer.ggml.token_type", _types);
        file.Add("tokenizer.ggml.merges", _merges);
        foreach ((string role, int id) in _special)
        {
            file.Add($"tokenizer.ggml.{role}_token_id", (uint)id);
        }

        file.Add("tokenizer.ggml.add_bos_token", _addsBos);
        file.Add("tokenizer.ggml.add_eos_token", false);
    }

    private string NameOf(TokenizerPipeline pipeline)
    {
        (_, bool takesWholeWords, string? name) = PreTokenizers.FirstOrDefault(known => known.Words == pipeline.Words);
        if (name is null)
        {
            throw new NotSupportedException(
                $"llama.cpp has no pre-tokenizer that splits words as '{pipeline.Words.Name}'. Export the model as safetensors.");
        }

        if (takesWholeWords != pipeline.TakesWholeWords)
        {
            _warnings.Add(
                $"ignore_merges is {(pipeline.TakesWholeWords ? "true" : "false")}, but llama.cpp's pre-tokenizer {name} works as if it "
                + $"were {(takesWholeWords ? "true" : "false")}: the ids of rare words may differ there.");
        }

        return name;
    }

    private void NameUnusedRows()
    {
        // llama.cpp refuses two tokens of one text.
        var taken = _tokens.Where(token => token is not null).ToHashSet(StringComparer.Ordinal);
        for (int id = 0; id < _tokens.Length; id++)
        {
            if (_tokens[id] is null)
            {
                string name = $"[PAD{id}]";
                while (!taken.Add(name))
                {
                    name += "_";
                }

                (_tokens[id], _types[id]) = (name, Unused);
            }
        }
    }

    private void AddSpecialTokens(QwenTokenizer tokenizer)
    {
        TokenizerFiles files = tokenizer.Files;
        int? first = tokenizer.PrefixTokenIds.Count > 0 ? tokenizer.PrefixTokenIds[0] : null;
        if ((first ?? IdOf(files, "bos")) is { } bos)
        {
            _special.Add(("bos", bos));
        }

        if (tokenizer.PrefixTokenIds.Count > 1)
        {
            _warnings.Add(
                $"The tokenizer puts {tokenizer.PrefixTokenIds.Count} tokens before a text without a chat template. llama.cpp puts only "
                + "the first.");
        }

        // llama.cpp has three places for end tokens. It stops at each of them.
        int[] ends = [.. tokenizer.EndTokenIds.Order()];
        int main = IdOf(files, "eos") is { } named && ends.Contains(named) ? named : ends[0];
        int[] others = [.. ends.Where(id => id != main).OrderBy(id => KnownEnds.Contains(_tokens[id])).ThenBy(id => id)];
        _special.Add(("eos", main));
        foreach ((string role, int id) in new[] { "eot", "eom" }.Zip(others))
        {
            _special.Add((role, id));
        }

        _special.Add(("padding", tokenizer.PadTokenId));
        foreach (int id in others.Skip(2).Where(id => !KnownEnds.Contains(_tokens[id])))
        {
            _warnings.Add(
                $"The end token {id} ('{TerminalText.EscapeLine(_tokens[id])}') is the fourth or later. GGUF has three places for end "
                + "tokens, so llama.cpp will not stop at it. Name it as a stop word there.");
        }
    }

    // Added tokens of this form are control tokens whatever the files say, as in llama.cpp's own converter.
    private static bool LooksSpecial(string text) =>
        (text.StartsWith("<|", StringComparison.Ordinal) && text.EndsWith("|>", StringComparison.Ordinal))
        || (text.StartsWith("<｜", StringComparison.Ordinal) && text.EndsWith("｜>", StringComparison.Ordinal))
        || text is "<pad>" or "<mask>";

    private int? IdOf(TokenizerFiles files, string role)
    {
        foreach (string name in (ReadOnlySpan<string>)[TokenizerFiles.Configuration, TokenizerFiles.SpecialTokens])
        {
            using JsonFile? json = Open(files, name);
            if (json is not null && SpecialTokenIds.ReadContent(json, $"{role}_token") is { } content
                && Array.IndexOf(_tokens, content) is >= 0 and var id)
            {
                return id;
            }
        }

        using JsonFile? model = Open(files, TokenizerFiles.Model);
        return model is not null && JsonFile.TryGet(model.Root, $"{role}_token_id", out JsonElement value)
            && value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int number) && number >= 0 && number < _tokens.Length
            ? number
            : null;
    }

    private static JsonFile? Open(TokenizerFiles files, string name) =>
        files.Find(name) is { } content ? new JsonFile(files.PathOf(name), content) : null;
}

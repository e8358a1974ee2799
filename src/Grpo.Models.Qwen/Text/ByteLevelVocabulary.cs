using System.Text;
using System.Text.Json;
using Grpo.Models.Qwen.Config;

namespace Grpo.Models.Qwen.Text;

/// <summary>The byte-pair tokens with their ids, and the merges in learned order, as read and not yet validated.</summary>
/// <param name="Ids">The ids by token, in the characters of <see cref="ByteAlphabet"/>.</param>
/// <param name="Merges">The merges in learned order.</param>
/// <param name="Pipeline">The settings by which text becomes words and tokens.</param>
/// <param name="IdsFile">The file of the ids, for messages.</param>
/// <param name="MergesFile">The file of the merges, for messages.</param>
internal sealed record ByteLevelVocabulary(
    Dictionary<string, int> Ids,
    List<(string Left, string Right)> Merges,
    TokenizerPipeline Pipeline,
    string IdsFile,
    string MergesFile)
{
    /// <summary>Reads <c>tokenizer.json</c> if it exists, as transformers does, else <c>vocab.json</c> and <c>merges.txt</c>.</summary>
    public static ByteLevelVocabulary Read(TokenizerFiles files)
    {
        if (files.Find(TokenizerFiles.Tokenizer) is { } tokenizer)
        {
            using var json = new JsonFile(files.PathOf(TokenizerFiles.Tokenizer), tokenizer);
            TokenizerPipeline pipeline = TokenizerJsonPipeline.Read(json);
            JsonElement model = json.Require(json.Root, "model", JsonValueKind.Object);
            return new ByteLevelVocabulary(
                ReadIds(json, json.Require(model, "vocab", JsonValueKind.Object)),
                ReadMerges(json, json.Require(model, "merges", JsonValueKind.Array)),
                pipeline,
                json.FilePath,
                json.FilePath);
        }

        if (files.Find(TokenizerFiles.Vocabulary) is { } vocabulary && files.Find(TokenizerFiles.Merges) is { } merges)
        {
            using var json = new JsonFile(files.PathOf(TokenizerFiles.Vocabulary), vocabulary);
            string mergesFile = files.PathOf(TokenizerFiles.Merges);
            Dictionary<string, int> ids = ReadIds(json, json.Root);
            TokenizerPipeline pipeline = TokenizerSettings.PipelineOfPair(files, ids.Count);
            return new ByteLevelVocabulary(ids, ReadMerges(mergesFile, merges), pipeline, json.FilePath, mergesFile);
        }

        string found = (files.Find(TokenizerFiles.Vocabulary), files.Find(TokenizerFiles.Merges)) switch
        {
            (not null, null) => $"{TokenizerFiles.Vocabulary} is there, {TokenizerFiles.Merges} is not",
            (null, not null) => $"{TokenizerFiles.Merges} is there, {TokenizerFiles.Vocabulary} is not",
            _ => "none of them is there",
        };
        throw new FileNotFoundException(
            $"No tokenizer in '{files.Source}': looked for {TokenizerFiles.Tokenizer}, or {TokenizerFiles.Vocabulary} with "
            + $"{TokenizerFiles.Merges}; {found}. Copy the tokenizer files of the checkpoint into this folder.");
    }

    private static Dictionary<string, int> ReadIds(JsonFile json, JsonElement vocabulary)
    {
        var ids = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (JsonProperty token in vocabulary.EnumerateObject())
        {
            if (!ids.TryAdd(token.Name, json.Id(token.Value, $"The id of token '{token.Name}'")))
            {
                throw json.Error($"The token '{token.Name}' is listed twice.");
            }
        }

        return ids;
    }

    private static List<(string Left, string Right)> ReadMerges(JsonFile json, JsonElement merges)
    {
        var pairs = new List<(string Left, string Right)>();
        foreach (JsonElement merge in merges.EnumerateArray())
        {
            string what = $"Merge {pairs.Count}";
            pairs.Add(merge.ValueKind switch
            {
                JsonValueKind.String => SplitPair(merge.GetString()!) ?? throw json.Error($"{what} must be two tokens and one space."),
                JsonValueKind.Array when merge.GetArrayLength() == 2 => (json.Text(merge[0], what), json.Text(merge[1], what)),
                _ => throw json.Error($"{what} must be \"left right\" or [\"left\", \"right\"]."),
            });
        }

        return pairs;
    }

    private static List<(string Left, string Right)> ReadMerges(string path, byte[] utf8)
    {
        var pairs = new List<(string Left, string Right)>();
        using var reader = new StreamReader(new MemoryStream(utf8, writable: false), Encoding.UTF8);
        for (int line = 1; reader.ReadLine() is { } text; line++)
        {
            // Only the first line can be the version header. Elsewhere '#version: …' is damage, and '# #' is a merge.
            if (text.Length == 0 || (line == 1 && text.StartsWith("#version", StringComparison.Ordinal)))
            {
                continue;
            }

            pairs.Add(SplitPair(text)
                ?? throw new InvalidDataException($"'{path}', line {line}: a merge must be two tokens and one space between them."));
        }

        return pairs;
    }

    private static (string Left, string Right)? SplitPair(string text)
    {
        int space = text.IndexOf(' ', StringComparison.Ordinal);
        return space > 0 && space < text.Length - 1 && text.IndexOf(' ', space + 1) < 0 ? (text[..space], text[(space + 1)..]) : null;
    }
}

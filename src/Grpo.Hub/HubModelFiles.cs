using System.Text.Json;

namespace Grpo.Hub;

/// <summary>
/// The files of a model: its configuration, its tokenizer, and its weights in one file or in the files that an index names.
/// </summary>
internal sealed class HubModelFiles(HubRepositoryId id) : HubFiles(id)
{
    public const string Index = "model.safetensors.index.json";
    public const string Configuration = "config.json";
    public const string TokenizerConfiguration = "tokenizer_config.json";
    public const string Template = "chat_template.jinja";
    public const string OlderTemplate = "chat_template.json";
    public const string ToolTemplate = "additional_chat_templates/tool_use.jinja";

    private const string Weights = "model.safetensors";
    private const string Generation = "generation_config.json";
    private const string Tokenizer = "tokenizer.json";
    private const string Vocabulary = "vocab.json";
    private const string Merges = "merges.txt";
    private const string AddedTokens = "added_tokens.json";
    private const string SpecialTokens = "special_tokens_map.json";
    private const int MaxIndexMegabytes = 64;

    private static readonly string[] Small =
    [
        Configuration, Generation, TokenizerConfiguration, Tokenizer, Vocabulary,
        Merges, AddedTokens, SpecialTokens, Template, OlderTemplate, ToolTemplate,
    ];

    public override string ByHand => "that folder";

    public override bool IsSettledByCommit => true;

    /// <summary>Returns the small files first. If the last one is the index, the weight files that it names follow.</summary>
    public override IReadOnlyList<string> Select(IReadOnlySet<string> available)
    {
        string[] wanted = [.. Small.Where(available.Contains)];
        if (!available.Contains(Configuration))
        {
            throw new HubException($"'{Id}' holds no {Configuration}: it is not a model in Hugging Face format.");
        }

        if (!HasTokenizer(available.Contains))
        {
            throw new HubException(
                $"'{Id}' holds no tokenizer: neither {Tokenizer} nor {Vocabulary} with {Merges}.");
        }

        string weights = available.Contains(Weights) ? Weights
            : available.Contains(Index) ? Index
            : throw new HubException(
                $"'{Id}' holds no safetensors weights: neither {Weights} nor {Index}. Weights in other formats (.bin, .gguf) are not read; "
                + "choose the original model, or convert it.");
        return [.. wanted, weights];
    }

    /// <summary>Returns the largest allowed size of a file. Weights are not limited.</summary>
    public override long MaxBytes(string file) => file switch
    {
        Configuration or Generation or Template or OlderTemplate or ToolTemplate => 1_048_576,
        TokenizerConfiguration or AddedTokens or SpecialTokens => 16 * 1_048_576,
        Vocabulary or Merges or Index => MaxIndexMegabytes * 1_048_576,
        Tokenizer => 128 * 1_048_576,
        _ => long.MaxValue,
    };

    public override string PathIn(HubCache cache, string commit, IReadOnlyList<string> selected) => cache.SnapshotPath(commit);

    /// <summary>Reads the weight files that an index names. All of them must be inside the folder.</summary>
    public static IReadOnlyList<string> ReadShards(string indexPath)
    {
        var info = new FileInfo(indexPath);
        long length = info.ResolveLinkTarget(returnFinalTarget: true) is FileInfo target ? target.Length : info.Length;
        if (length > MaxIndexMegabytes * 1_048_576L)
        {
            throw new HubException($"'{indexPath}' has {length} bytes; at most {MaxIndexMegabytes} MiB are read.");
        }

        try
        {
            using var json = new HubJson(indexPath, File.ReadAllBytes(indexPath));
            var shards = new SortedSet<string>(StringComparer.Ordinal);
            foreach (JsonProperty tensor in json.Require(json.Root, "weight_map", JsonValueKind.Object).EnumerateObject())
            {
                string name = json.Text(tensor.Value, $"The file of '{tensor.Name}'");
                shards.Add(HubNames.IsInsideFolder(name) && name.EndsWith(".safetensors", StringComparison.Ordinal)
                    ? name
                    : throw json.Error(
                        $"'{tensor.Name}' lies in '{name}', which is not a .safetensors file inside the folder. "
                        + "Nothing of it was downloaded."));
            }

            return [.. shards];
        }
        catch (InvalidDataException e)
        {
            throw new HubException(e.Message, e);
        }
    }

    protected override (string? Path, string Missing) FindCommit(HubCache cache, string commit)
    {
        string[] missing = [.. Missing(cache, commit)];
        return missing.Length == 0
            ? (cache.SnapshotPath(commit), "")
            : (null, $"{List(missing)} in '{cache.SnapshotPath(commit)}'");
    }

    private static IEnumerable<string> Missing(HubCache cache, string commit)
    {
        bool Shows(string file) => cache.Check(commit, file) != CachedFile.Absent;
        foreach (string damaged in Small.Where(Shows).Select(file => cache.FindProblem(commit, file)).OfType<string>())
        {
            yield return damaged;
        }

        if (!Shows(Configuration))
        {
            yield return Configuration;
        }

        if (!HasTokenizer(Shows))
        {
            yield return $"{Tokenizer} (or {Vocabulary} and {Merges})";
        }

        string[] weights = Shows(Weights) || !Shows(Index) ? [Weights] : [Index];
        if (weights[0] == Index && cache.Has(commit, Index))
        {
            weights = [.. ReadShards(cache.FilePath(commit, Index))];
        }

        foreach (string missing in weights.Select(file => cache.FindProblem(commit, file)).OfType<string>())
        {
            yield return missing;
        }
    }

    private static bool HasTokenizer(Func<string, bool> has) =>
        has(Tokenizer) || (has(Vocabulary) && has(Merges));
}

/// <summary>The configuration of a model, from which its size follows, and the small files that may hold its chat template.</summary>
internal sealed class HubConfigFile(HubRepositoryId id) : HubFiles(id)
{
    private static readonly string[] Templates =
        [HubModelFiles.TokenizerConfiguration, HubModelFiles.Template, HubModelFiles.OlderTemplate, HubModelFiles.ToolTemplate];

    public override string ByHand => "that folder";

    public override bool IsSettledByCommit => true;

    public override IReadOnlyList<string> Select(IReadOnlySet<string> available) => available.Contains(HubModelFiles.Configuration)
        ? [HubModelFiles.Configuration, .. Templates.Where(available.Contains)]
        : throw new HubException($"'{Id}' holds no {HubModelFiles.Configuration}: it is not a model in Hugging Face format.");

    public override long MaxBytes(string file) => (file == HubModelFiles.TokenizerConfiguration ? 16 : 1) * 1_048_576;

    public override string PathIn(HubCache cache, string commit, IReadOnlyList<string> selected) => cache.SnapshotPath(commit);

    protected override (string? Path, string Missing) FindCommit(HubCache cache, string commit) =>
        cache.FindProblem(commit, HubModelFiles.Configuration) is { } missing
            ? (null, $"{missing} in '{cache.SnapshotPath(commit)}'")
            : (cache.SnapshotPath(commit), "");
}

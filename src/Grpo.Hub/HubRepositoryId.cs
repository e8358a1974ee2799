namespace Grpo.Hub;

/// <summary>The kind and name of a repository, with the addresses and folders that follow from them. Its text form is owner/name.</summary>
internal sealed class HubRepositoryId
{
    private readonly string _name;

    private HubRepositoryId(string kind, string name)
    {
        Kind = kind;
        _name = name;
    }

    /// <summary>The kind: "model" or "dataset".</summary>
    public string Kind { get; }

    public string ApiPath => $"api/{Kind}s/{_name}";

    /// <summary>The path on the hub's web site. Models are at its root; other kinds have their kind before the name.</summary>
    public string WebPath => Kind == "model" ? _name : $"{Kind}s/{_name}";

    public string CacheFolder => $"{Kind}s--{_name.Replace("/", "--", StringComparison.Ordinal)}";

    /// <summary>The command of Python's huggingface_hub that downloads the repository.</summary>
    public string DownloadCommand => $"hf download {_name}{(Kind == "model" ? "" : $" --repo-type {Kind}")}";

    public static HubRepositoryId Model(string name) => new("model", name);

    public static HubRepositoryId Dataset(string name) => new("dataset", name);

    public override string ToString() => _name;
}

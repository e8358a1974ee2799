namespace Grpo.Hub;

/// <summary>A repository of the hub by kind and name, and where that puts it. As text it is owner/name.</summary>
internal sealed class HubRepositoryId
{
    private readonly string _name;

    private HubRepositoryId(string kind, string name)
    {
        Kind = kind;
        _name = name;
    }

    /// <summary>"model" or "dataset".</summary>
    public string Kind { get; }

    public string ApiPath => $"api/{Kind}s/{_name}";

    /// <summary>Models lie at the hub's root; everything else has its kind before its name.</summary>
    public string WebPath => Kind == "model" ? _name : $"{Kind}s/{_name}";

    public string CacheFolder => $"{Kind}s--{_name.Replace("/", "--", StringComparison.Ordinal)}";

    /// <summary>The command of Python's huggingface_hub that downloads it.</summary>
    public string DownloadCommand => $"hf download {_name}{(Kind == "model" ? "" : $" --repo-type {Kind}")}";

    public static HubRepositoryId Model(string name) => new("model", name);

    public static HubRepositoryId Dataset(string name) => new("dataset", name);

    public override string ToString() => _name;
}

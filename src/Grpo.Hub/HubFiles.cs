namespace Grpo.Hub;

/// <summary>What is wanted of a repository: which files to download, and whether the cache holds them.</summary>
internal abstract class HubFiles(HubRepositoryId id)
{
    private const int MaxListed = 10;

    public HubRepositoryId Id { get; } = id;

    /// <summary>What the caller gives in place of the id after a download by hand.</summary>
    public abstract string ByHand { get; }

    /// <summary>Whether a commit that the cache holds complete can be used without a look at the hub's list of its files.</summary>
    public abstract bool IsSettledByCommit { get; }

    /// <summary>The files to download in order; an error that says what the repository lacks.</summary>
    public abstract IReadOnlyList<string> Select(IReadOnlySet<string> available);

    /// <summary>Largest size that is downloaded.</summary>
    public abstract long MaxBytes(string file);

    /// <summary>What the caller gets when the selected files are in the cache.</summary>
    public abstract string PathIn(HubCache cache, string commit, IReadOnlyList<string> selected);

    /// <summary>What the caller gets at a revision when everything needed is in the cache, else what is missing.</summary>
    public (string? Path, string Missing) Find(HubCache cache, string revision) => cache.FindCommit(revision) is { } commit
        ? FindCommit(cache, commit)
        : (null, $"no revision '{revision}' in '{cache.Folder}'");

    protected abstract (string? Path, string Missing) FindCommit(HubCache cache, string commit);

    /// <summary>Names for a message, not more than can be read.</summary>
    protected static string List(IReadOnlyCollection<string> names) =>
        string.Join(", ", names.Take(MaxListed)) + (names.Count > MaxListed ? $" … ({names.Count} in all)" : "");
}

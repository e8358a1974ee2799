namespace Grpo.Hub;

/// <summary>The files to download from a repository, and the check if the cache holds them.</summary>
internal abstract class HubFiles(HubRepositoryId id)
{
    private const int MaxListed = 10;

    public HubRepositoryId Id { get; } = id;

    /// <summary>The words for what the caller can give instead of the id after a manual download.</summary>
    public abstract string ByHand { get; }

    /// <summary>True if a complete commit in the cache can be used without asking the hub for its list of files.</summary>
    public abstract bool IsSettledByCommit { get; }

    /// <summary>Returns the files to download in order, or throws an error that names what the repository lacks.</summary>
    public abstract IReadOnlyList<string> Select(IReadOnlySet<string> available);

    /// <summary>Returns the largest allowed size of a file.</summary>
    public abstract long MaxBytes(string file);

    /// <summary>Returns the path for the caller when the selected files are in the cache.</summary>
    public abstract string PathIn(HubCache cache, string commit, IReadOnlyList<string> selected);

    /// <summary>
    /// Returns the path for the caller if the cache holds everything at a revision, else a description of what is missing.
    /// </summary>
    public (string? Path, string Missing) Find(HubCache cache, string revision) => cache.FindCommit(revision) is { } commit
        ? FindCommit(cache, commit)
        : (null, $"no revision '{revision}' in '{cache.Folder}'");

    protected abstract (string? Path, string Missing) FindCommit(HubCache cache, string commit);

    /// <summary>Lists names for a message, up to a readable number.</summary>
    protected static string List(IReadOnlyCollection<string> names) =>
        string.Join(", ", names.Take(MaxListed)) + (names.Count > MaxListed ? $" … ({names.Count} in all)" : "");
}

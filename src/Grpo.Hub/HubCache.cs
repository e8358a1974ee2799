namespace Grpo.Hub;

/// <summary>The state of a file in a snapshot of the cache.</summary>
internal enum CachedFile
{
    /// <summary>Missing, or a link to a blob that was removed.</summary>
    Absent,

    /// <summary>A link to a blob whose content does not have the hash in its name.</summary>
    Damaged,

    /// <summary>A file that is not a link, so that nothing in the cache tells its hash.</summary>
    Unchecked,

    /// <summary>A link to a blob with the right hash.</summary>
    Intact,
}

/// <summary>One repository in the cache of Python's huggingface_hub: blobs by hash, snapshots by commit, refs by branch.</summary>
/// <remarks>
/// The cache is not trusted. Links are followed only from a snapshot to a blob of the same repository. A blob is used only if its content
/// has the hash in its name. One object checks each blob once.
/// </remarks>
/// <param name="cacheDirectory">The folder of all repositories. It may be a link itself.</param>
/// <param name="id">The repository.</param>
/// <param name="cancellationToken">Cancels the hashing of a large blob.</param>
internal sealed class HubCache(string cacheDirectory, HubRepositoryId id, CancellationToken cancellationToken = default)
{
    private readonly Dictionary<string, (long Length, DateTime Changed, bool IsIntact)> _checked = [];

    public string Folder { get; } = Path.Combine(cacheDirectory, id.CacheFolder);

    /// <summary>True if a checked file had no hash to compare with.</summary>
    public bool HasUnchecked { get; private set; }

    public string LockPath(string hash) => Own(Path.Combine(cacheDirectory, ".locks", Path.GetFileName(Folder), hash + ".lock"));

    public string BlobPath(string hash) => Own(Path.Combine(Folder, "blobs", hash));

    /// <summary>Returns the path of a blob during its download.</summary>
    public string PartPath(string hash) => Own(Path.Combine(Folder, "blobs", hash + ".incomplete"));

    public string SnapshotPath(string commit) => Path.Combine(Folder, "snapshots", commit);

    public string FilePath(string commit, string file) => Path.Combine([SnapshotPath(commit), .. file.Split('/')]);

    /// <summary>Checks a file of a snapshot by its hash, once.</summary>
    /// <exception cref="HubException">A link leads to anything but a blob of this repository.</exception>
    public CachedFile Check(string commit, string file)
    {
        if (BlobOf(FilePath(commit, file)) is { } hash)
        {
            return IsIntact(hash) ? CachedFile.Intact : HasBlob(hash) ? CachedFile.Damaged : CachedFile.Absent;
        }

        bool exists = File.Exists(FilePath(commit, file));
        HasUnchecked |= exists;
        return exists ? CachedFile.Unchecked : CachedFile.Absent;
    }

    /// <summary>True if a snapshot has a file whose hash is right or unknown.</summary>
    public bool Has(string commit, string file) => Check(commit, file) is CachedFile.Unchecked or CachedFile.Intact;

    /// <summary>Returns the name of a file that cannot be used, with the reason if it is present; null if it can be used.</summary>
    public string? FindProblem(string commit, string file) => Check(commit, file) switch
    {
        CachedFile.Absent => file,
        CachedFile.Damaged => $"{file} (damaged: its content does not have the right hash)",
        _ => null,
    };

    /// <summary>Lists the files of a snapshot with '/' in their names, without checking their hashes. The commit may have more.</summary>
    public IEnumerable<string> Files(string commit)
    {
        string folder = Own(SnapshotPath(commit));
        return !Directory.Exists(folder) ? [] : Directory
            .EnumerateFiles(folder, "*", new EnumerationOptions { RecurseSubdirectories = true, MaxRecursionDepth = 16 })
            .Select(path => Path.GetRelativePath(folder, path).Replace(Path.DirectorySeparatorChar, '/'))
            .Where(file => BlobOf(FilePath(commit, file)) is not { } hash || HasBlob(hash));
    }

    /// <summary>True if a blob exists and its content has the hash in its name.</summary>
    public bool IsIntact(string hash)
    {
        var blob = new FileInfo(BlobPath(hash));
        if (!blob.Exists)
        {
            return false;
        }

        if (!_checked.TryGetValue(hash, out var known) || known.Length != blob.Length || known.Changed != blob.LastWriteTimeUtc)
        {
            known = (blob.Length, blob.LastWriteTimeUtc, IsHashOf(blob.FullName, hash));
            _checked[hash] = known;
        }

        return known.IsIntact;
    }

    /// <summary>True if the content of a file has a hash.</summary>
    public bool IsHashOf(string path, string hash)
    {
        using FileStream content = File.OpenRead(path);
        return BlobHash.Compute(content, hash, cancellationToken) == hash;
    }

    public bool HasBlob(string hash) => File.Exists(BlobPath(hash));

    /// <summary>Returns the commit that a revision named when it was last downloaded. A commit names itself.</summary>
    public string? FindCommit(string revision)
    {
        if (HubNames.IsCommit(revision))
        {
            return revision;
        }

        string path = RefPath(revision);
        if (!File.Exists(path))
        {
            return null;
        }

        using var reader = new StreamReader(path);
        var buffer = new char[64];
        string commit = new string(buffer, 0, reader.ReadBlock(buffer)).Trim();
        return HubNames.IsCommit(commit) ? commit : null;
    }

    public void WriteRef(string revision, string commit)
    {
        if (HubNames.IsCommit(revision))
        {
            return;
        }

        string path = RefPath(revision);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        string temporary = path + "." + Path.GetRandomFileName();
        File.WriteAllText(temporary, commit);
        File.Move(temporary, path, overwrite: true);
    }

    /// <summary>Adds a blob to a snapshot by a relative link, or as a file if the system refuses links.</summary>
    public void Link(string commit, string file, string hash, bool isNewBlob)
    {
        string path = FilePath(commit, file);
        string folder = Own(Path.GetDirectoryName(path)!);
        Directory.CreateDirectory(folder);
        File.Delete(path); // a link to a removed blob, or a file without a hash
        try
        {
            File.CreateSymbolicLink(path, Path.GetRelativePath(folder, BlobPath(hash)));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or PlatformNotSupportedException)
        {
            // Windows without developer mode. As in Python, a new blob is moved; an old one, to which others may point, is copied.
            if (isNewBlob)
            {
                File.Move(BlobPath(hash), path);
            }
            else
            {
                File.Copy(BlobPath(hash), path);
            }
        }
    }

    private string RefPath(string revision) => Own(Path.Combine([Folder, "refs", .. revision.Split('/')]));

    /// <summary>Returns the hash of the blob to which a file of a snapshot links; null if the file is not a link.</summary>
    private string? BlobOf(string path)
    {
        string folder = Own(Path.GetDirectoryName(path)!);
        if (new FileInfo(path).LinkTarget is not { } target)
        {
            return null;
        }

        // Checks the text of the link, not its final target: a path through another link could lead elsewhere later.
        string hash = Path.GetFileName(target);
        return BlobHash.IsName(hash) && (target == Path.GetRelativePath(folder, BlobPath(hash)) || target == BlobPath(hash))
            ? hash
            : throw Planted(path, target);
    }

    /// <summary>Returns a path below the cache's folder after checking that no part of it is a link.</summary>
    private string Own(string path)
    {
        string part = cacheDirectory;
        foreach (string name in Path.GetRelativePath(cacheDirectory, path).Split(Path.DirectorySeparatorChar))
        {
            part = Path.Combine(part, name);
            if (new FileInfo(part).LinkTarget is { } target)
            {
                throw Planted(part, target);
            }
        }

        return path;
    }

    private static HubException Planted(string path, string target) => new(
        $"'{path}' in the cache is a link to '{target}', which no client of the hub makes. Nothing was read or written behind it. "
        + "Remove it. To keep the cache on another disk, set HF_HUB_CACHE to a folder there.");
}

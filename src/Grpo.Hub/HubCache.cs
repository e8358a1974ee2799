namespace Grpo.Hub;

/// <summary>The state of a file in a snapshot of the cache.</summary>
internal enum CachedFile
{
    /// <summary>Not there, or a link to a blob that was removed.</summary>
    Absent,

    /// <summary>A link to a blob whose content does not have the hash that it is named by.</summary>
    Damaged,

    /// <summary>A file and no link: nothing in the cache says what its hash must be.</summary>
    Unchecked,

    /// <summary>A link to a blob of the right hash.</summary>
    Intact,
}

/// <summary>
/// One repository in the cache that Python's huggingface_hub shares: blobs by hash, snapshots by commit, refs by branch.
/// </summary>
/// <remarks>
/// A cache is not trusted. Links are followed from a snapshot to a blob of the same repository and nowhere else, and a blob is taken when its
/// content has the hash that it is named by. One object checks each blob once.
/// </remarks>
/// <param name="cacheDirectory">The folder of all repositories. It may be a link itself.</param>
/// <param name="id">The repository.</param>
/// <param name="cancellationToken">Stops the hashing of a large blob.</param>
internal sealed class HubCache(string cacheDirectory, HubRepositoryId id, CancellationToken cancellationToken = default)
{
    private readonly Dictionary<string, (long Length, DateTime Changed, bool IsIntact)> _checked = [];

    public string Folder { get; } = Path.Combine(cacheDirectory, id.CacheFolder);

    /// <summary>True if a file was looked at that has no hash to check it with.</summary>
    public bool HasUnchecked { get; private set; }

    public string LockPath(string hash) => Own(Path.Combine(cacheDirectory, ".locks", Path.GetFileName(Folder), hash + ".lock"));

    public string BlobPath(string hash) => Own(Path.Combine(Folder, "blobs", hash));

    /// <summary>The blob while it arrives.</summary>
    public string PartPath(string hash) => Own(Path.Combine(Folder, "blobs", hash + ".incomplete"));

    public string SnapshotPath(string commit) => Path.Combine(Folder, "snapshots", commit);

    public string FilePath(string commit, string file) => Path.Combine([SnapshotPath(commit), .. file.Split('/')]);

    /// <summary>Checks what a snapshot shows under a name: by its hash, once.</summary>
    /// <exception cref="HubException">A link leads to anything but a blob of this repository.</exception>
    public CachedFile Look(string commit, string file)
    {
        if (BlobOf(FilePath(commit, file)) is { } hash)
        {
            return IsIntact(hash) ? CachedFile.Intact : HasBlob(hash) ? CachedFile.Damaged : CachedFile.Absent;
        }

        bool exists = File.Exists(FilePath(commit, file));
        HasUnchecked |= exists;
        return exists ? CachedFile.Unchecked : CachedFile.Absent;
    }

    /// <summary>True if a snapshot shows a file whose hash is right or cannot be known.</summary>
    public bool Has(string commit, string file) => Look(commit, file) is CachedFile.Unchecked or CachedFile.Intact;

    /// <summary>The name of a file that cannot be used, with the reason if it is there; null when it can be used.</summary>
    public string? Lack(string commit, string file) => Look(commit, file) switch
    {
        CachedFile.Absent => file,
        CachedFile.Damaged => $"{file} (damaged: its content does not have the right hash)",
        _ => null,
    };

    /// <summary>
    /// The files that a snapshot shows, which may be a part of those in the commit; names with '/'. Their hashes are not checked.
    /// </summary>
    public IEnumerable<string> Files(string commit)
    {
        string folder = Own(SnapshotPath(commit));
        return !Directory.Exists(folder) ? [] : Directory
            .EnumerateFiles(folder, "*", new EnumerationOptions { RecurseSubdirectories = true, MaxRecursionDepth = 16 })
            .Select(path => Path.GetRelativePath(folder, path).Replace(Path.DirectorySeparatorChar, '/'))
            .Where(file => BlobOf(FilePath(commit, file)) is not { } hash || HasBlob(hash));
    }

    /// <summary>True if a blob is there and its content has the hash that it is named by.</summary>
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

    /// <summary>True if a file has a hash.</summary>
    public bool IsHashOf(string path, string hash)
    {
        using FileStream content = File.OpenRead(path);
        return BlobHash.Compute(content, hash, cancellationToken) == hash;
    }

    public bool HasBlob(string hash) => File.Exists(BlobPath(hash));

    /// <summary>The commit that a revision named when it was last downloaded; a commit names itself.</summary>
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

    /// <summary>Shows a blob in a snapshot: by a relative link, or where the system refuses links by the file itself.</summary>
    public void Link(string commit, string file, string hash, bool isNewBlob)
    {
        string path = FilePath(commit, file);
        string folder = Own(Path.GetDirectoryName(path)!);
        Directory.CreateDirectory(folder);
        File.Delete(path); // a dangling link of a blob that was removed, or a file without a hash
        try
        {
            File.CreateSymbolicLink(path, Path.GetRelativePath(folder, BlobPath(hash)));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or PlatformNotSupportedException)
        {
            // Windows without developer mode. As Python does: a fresh blob moves, one that others may point to is copied.
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

    /// <summary>The hash of the blob to which a file of a snapshot is a link; null when it is no link.</summary>
    private string? BlobOf(string path)
    {
        string folder = Own(Path.GetDirectoryName(path)!);
        if (new FileInfo(path).LinkTarget is not { } target)
        {
            return null;
        }

        // The text of the link, not the place that it leads to: a detour through another link would lead elsewhere later.
        string hash = Path.GetFileName(target);
        return BlobHash.IsName(hash) && (target == Path.GetRelativePath(folder, BlobPath(hash)) || target == BlobPath(hash))
            ? hash
            : throw Planted(path, target);
    }

    /// <summary>Returns a path below the cache's folder of which no part is a link.</summary>
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
        $"'{path}' in the cache is a link to '{target}', which no client of the hub makes. Nothing was read or written behind it. Remove it. "
        + "To keep the cache on another disk, set HF_HUB_CACHE to a folder there.");
}

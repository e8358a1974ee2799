namespace Grpo.Models.Qwen;

/// <summary>One repository in the cache that Python's huggingface_hub shares: blobs by hash, snapshots by commit, refs by branch.</summary>
internal sealed class HubCache(string cacheDirectory, HubRepositoryId id)
{
    public string Folder { get; } = Path.Combine(cacheDirectory, id.CacheFolder);

    public string LockPath(string hash) => Path.Combine(cacheDirectory, ".locks", Path.GetFileName(Folder), hash + ".lock");

    public string BlobPath(string hash) => Path.Combine(Folder, "blobs", hash);

    public string SnapshotPath(string commit) => Path.Combine(Folder, "snapshots", commit);

    public string FilePath(string commit, string file) => Path.Combine([SnapshotPath(commit), .. file.Split('/')]);

    /// <summary>Whether a snapshot shows a file that is really there; <see cref="File.Exists"/> is true for a link to nothing.</summary>
    public bool Has(string commit, string file)
    {
        var info = new FileInfo(FilePath(commit, file));
        return info.LinkTarget is null ? info.Exists : info.ResolveLinkTarget(returnFinalTarget: true) is { Exists: true };
    }

    /// <summary>The files that a snapshot shows, which may be a part of those in the commit; names with '/'.</summary>
    public IEnumerable<string> Files(string commit)
    {
        string folder = SnapshotPath(commit);
        return !Directory.Exists(folder) ? [] : Directory
            .EnumerateFiles(folder, "*", new EnumerationOptions { RecurseSubdirectories = true, MaxRecursionDepth = 16 })
            .Select(path => Path.GetRelativePath(folder, path).Replace(Path.DirectorySeparatorChar, '/'))
            .Where(file => Has(commit, file));
    }

    /// <summary>The commit that a revision named when it was last downloaded; a commit names itself.</summary>
    public string? FindCommit(string revision)
    {
        if (HubNames.IsCommit(revision))
        {
            return revision;
        }

        string path = Path.Combine([Folder, "refs", .. revision.Split('/')]);
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

        string path = Path.Combine([Folder, "refs", .. revision.Split('/')]);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        string temporary = path + "." + Path.GetRandomFileName();
        File.WriteAllText(temporary, commit);
        File.Move(temporary, path, overwrite: true);
    }

    /// <summary>Shows a blob in a snapshot: by a relative link, or where the system refuses links by the file itself.</summary>
    public void Link(string commit, string file, string hash, bool isNewBlob)
    {
        string path = FilePath(commit, file);
        string folder = Path.GetDirectoryName(path)!;
        Directory.CreateDirectory(folder);
        File.Delete(path); // a dangling link of a blob that was removed
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
}

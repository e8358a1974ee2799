using System.Text.Json;

namespace Grpo.Models.Qwen;

/// <summary>One model in the cache that Python's huggingface_hub shares: blobs by hash, snapshots by commit, refs by branch.</summary>
internal sealed class HubCache(string cacheDirectory, string id)
{
    private const int MaxIndexMegabytes = 64;

    public string Folder { get; } = Path.Combine(cacheDirectory, "models--" + id.Replace("/", "--", StringComparison.Ordinal));

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

    /// <summary>The snapshot of a revision when everything needed is in it, else what is missing.</summary>
    public (string? Snapshot, string Missing) Find(string revision)
    {
        if (FindCommit(revision) is not { } commit)
        {
            return (null, $"no revision '{revision}' in '{Folder}'");
        }

        string[] missing = [.. Missing(commit)];
        return missing.Length == 0
            ? (SnapshotPath(commit), "")
            : (null, $"{string.Join(", ", missing.Take(5))}{(missing.Length > 5 ? " …" : "")} in '{SnapshotPath(commit)}'");
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

    /// <summary>The weight files that an index names; each must stay in the folder.</summary>
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
            using var json = new JsonFile(indexPath, File.ReadAllBytes(indexPath));
            var shards = new SortedSet<string>(StringComparer.Ordinal);
            foreach (JsonProperty tensor in json.Require(json.Root, "weight_map", JsonValueKind.Object).EnumerateObject())
            {
                string name = json.Text(tensor.Value, $"The file of '{tensor.Name}'");
                shards.Add(HubNames.IsInsideFolder(name) && name.EndsWith(".safetensors", StringComparison.Ordinal)
                    ? name
                    : throw json.Error(
                        $"'{tensor.Name}' lies in '{name}', which is not a .safetensors file inside the folder. Nothing of it was downloaded."));
            }

            return [.. shards];
        }
        catch (InvalidDataException e)
        {
            throw new HubException(e.Message, e);
        }
    }

    private IEnumerable<string> Missing(string commit)
    {
        bool Has(string file) => this.Has(commit, file);
        if (!Has(HubFiles.Configuration))
        {
            yield return HubFiles.Configuration;
        }

        if (!Has(TokenizerFiles.Tokenizer) && !(Has(TokenizerFiles.Vocabulary) && Has(TokenizerFiles.Merges)))
        {
            yield return $"{TokenizerFiles.Tokenizer} (or {TokenizerFiles.Vocabulary} and {TokenizerFiles.Merges})";
        }

        if (Has(HubFiles.Weights))
        {
            yield break;
        }

        if (!Has(HubFiles.Index))
        {
            yield return HubFiles.Weights;
            yield break;
        }

        foreach (string shard in ReadShards(FilePath(commit, HubFiles.Index)).Where(shard => !Has(shard)))
        {
            yield return shard;
        }
    }
}

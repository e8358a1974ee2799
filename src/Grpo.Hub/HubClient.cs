namespace Grpo.Hub;

/// <summary>
/// Downloads from a Hugging Face hub into the cache that Python's huggingface_hub uses: what either has downloaded, both find.
/// </summary>
/// <remarks>
/// Of a model, <c>config.json</c>, <c>generation_config.json</c>, the tokenizer's files, and <c>model.safetensors</c> or the parts that its
/// index names are fetched; of a data set, the one file of a split. Every file is checked against the size and hash that the hub states. A
/// file that is in the cache already is checked against the hash that it is named by, each time: some seconds for a model of 3 GB. One that is
/// damaged is fetched again. A link that leads out of the repository's blobs is refused.
/// </remarks>
public static class HubClient
{
    /// <summary>Whether a text has the form owner/name of a model or data set. It may still be a folder or file: look there first.</summary>
    /// <param name="id">The text.</param>
    public static bool IsId(string id) => HubNames.IsId(id);

    /// <summary>Downloads what a model lacks and returns the folder of the snapshot, which holds the files under their own names.</summary>
    /// <param name="id">owner/name of a model.</param>
    /// <param name="options">Null: defaults and environment.</param>
    /// <param name="cancellationToken">Stops at once; the next call continues where this one stopped.</param>
    /// <exception cref="ArgumentException">The id or an option is malformed.</exception>
    /// <exception cref="HubException">The hub is unreachable and the cache incomplete, refuses, or sends what it did not promise.</exception>
    public static async Task<string> DownloadAsync(string id, HubOptions? options = null, CancellationToken cancellationToken = default)
    {
        HubNames.RequireId(id, "Qwen/Qwen2.5-0.5B-Instruct", "an existing folder");
        return await DownloadAsync(new HubModelFiles(HubRepositoryId.Model(id)), options, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>
    /// Downloads the <c>config.json</c> of a model and the small files that may hold its chat template, unless the cache has them, and returns the
    /// folder of the snapshot. The size of a model can be told from them without its weights.
    /// </summary>
    /// <param name="id">owner/name of a model.</param>
    /// <param name="options">Null: defaults and environment.</param>
    /// <param name="cancellationToken">Stops at once; the next call continues where this one stopped.</param>
    /// <exception cref="ArgumentException">The id or an option is malformed.</exception>
    /// <exception cref="HubException">The hub is unreachable and the cache incomplete, refuses, or sends what it did not promise.</exception>
    public static async Task<string> DownloadConfigAsync(string id, HubOptions? options = null, CancellationToken cancellationToken = default)
    {
        HubNames.RequireId(id, "Qwen/Qwen2.5-0.5B-Instruct", "an existing folder");
        return await DownloadAsync(new HubConfigFile(HubRepositoryId.Model(id)), options, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Downloads a split of a data set, unless the cache has it, and returns the path of the one file that holds it.</summary>
    /// <remarks>
    /// The file is a .parquet or .jsonl file named for the split: <c>train.jsonl</c>, <c>main/train-00000-of-00001.parquet</c>. Of several
    /// folders (configurations) that offer one, <c>main</c> is taken, else <c>default</c>. Without network the choice is among the files that
    /// the cache holds.
    /// </remarks>
    /// <param name="id">owner/name of a data set.</param>
    /// <param name="split">The split's name, such as "train" or "test"; case matters.</param>
    /// <param name="options">Null: defaults and environment.</param>
    /// <param name="cancellationToken">Stops at once; the next call continues where this one stopped.</param>
    /// <exception cref="ArgumentException">The id, the split or an option is malformed.</exception>
    /// <exception cref="HubException">
    /// No file is named for the split, several configurations offer it, it lies in several files, or its file has more than 4 GiB. Or the hub
    /// is unreachable and the cache incomplete, refuses, or sends what it did not promise.
    /// </exception>
    public static async Task<string> DownloadDatasetAsync(
        string id, string split, HubOptions? options = null, CancellationToken cancellationToken = default)
    {
        HubNames.RequireId(id, "openai/gsm8k", "an existing file");
        HubNames.RequireSplit(split);
        return await DownloadAsync(new HubDatasetFiles(HubRepositoryId.Dataset(id), split), options, cancellationToken).ConfigureAwait(false);
    }

    private static async Task<string> DownloadAsync(HubFiles wanted, HubOptions? options, CancellationToken cancellationToken)
    {
        HubSettings settings = HubSettings.Resolve(
            options ?? new HubOptions(),
            Environment.GetEnvironmentVariable,
            Environment.GetFolderPath(Environment.SpecialFolder.UserProfile));
        try
        {
            return await DownloadAsync(wanted, settings, cancellationToken).ConfigureAwait(false);
        }
        catch (HubException e) when (settings.Secret.IsIn(e.ToString()))
        {
            throw new HubException(settings.Secret.Mask(e.Message)); // without its causes, which repeat what the server sent
        }
    }

    private static async Task<string> DownloadAsync(HubFiles wanted, HubSettings settings, CancellationToken cancellationToken)
    {
        var cache = new HubCache(settings.CacheDirectory, wanted.Id, cancellationToken);
        (string? cached, string missing) = await Task.Run(() => wanted.Find(cache, settings.Revision), cancellationToken).ConfigureAwait(false);
        if (cached is not null && settings.Offline)
        {
            return Unchecked(cached);
        }

        if (cached is not null && wanted.IsSettledByCommit && HubNames.IsCommit(settings.Revision) && !cache.HasUnchecked)
        {
            return cached;
        }

        if (settings.Offline)
        {
            throw new HubException(
                $"'{wanted.Id}' is not complete in the cache (missing: {missing}), and the network is off (HF_HUB_OFFLINE or "
                + $"HubOptions.Offline). {ByHand(wanted, settings)}");
        }

        using var connection = new HubConnection(settings);
        var repository = new HubRepository(connection, settings, wanted.Id);
        (string Commit, HashSet<string> Files) listing;
        try
        {
            // With all that is needed at hand there is no reason to wait long for news of it.
            var budget = new RetryBudget(settings, cached is null ? settings.MaxAttempts : 1);
            listing = await budget.RunAsync(() => repository.ListAsync(cancellationToken), cancellationToken).ConfigureAwait(false);
        }
        catch (HubTransientException e) when (cached is not null)
        {
            settings.Logger.UsingCache(e.Message, cached);
            return Unchecked(cached);
        }
        catch (HubTransientException e)
        {
            throw new HubException(
                $"'{wanted.Id}' cannot be downloaded from {settings.Endpoint.Host}: {e.Message} Nor is it complete in the cache "
                + $"(missing: {missing}). {ByHand(wanted, settings)}",
                e);
        }

        IReadOnlyList<string> selected = wanted.Select(listing.Files);
        var download = new HubSnapshotDownload(connection, settings, repository, cache, wanted, listing.Commit);
        await download.RunAsync(selected, listing.Files, cancellationToken).ConfigureAwait(false);
        cache.WriteRef(settings.Revision, listing.Commit);
        return wanted.PathIn(cache, listing.Commit, selected);

        string Unchecked(string path)
        {
            if (cache.HasUnchecked)
            {
                settings.Logger.Unchecked(path);
            }

            return path;
        }
    }

    private static string ByHand(HubFiles wanted, HubSettings settings) =>
        $"To get it by hand: on a machine with network run '{wanted.Id.DownloadCommand} --revision {settings.Revision} --local-dir <folder>', "
        + $"or save the files from {settings.Endpoint.AbsoluteUri.TrimEnd('/')}/{wanted.Id.WebPath}/tree/{settings.Revision}, and give "
        + $"{wanted.ByHand} in place of the id. Behind a mirror set HF_ENDPOINT.";
}

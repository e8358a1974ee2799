namespace Grpo.Hub;

/// <summary>Downloads models and data sets from a Hugging Face hub into the cache that it shares with Python's huggingface_hub.</summary>
/// <remarks>
/// <para>
/// For a model it downloads <c>config.json</c>, <c>generation_config.json</c>, the tokenizer's files, and <c>model.safetensors</c> or the
/// files that <c>model.safetensors.index.json</c> lists. For a data set it downloads the one file of a split.</para>
/// <para>
/// Every file is compared with the size and hash that the hub states. A cached file is compared with the hash in its name each time, which
/// takes some seconds for a model of 3 GB. A damaged file is downloaded again. A link in the cache that points outside the folder of the
/// repository's files is refused.</para>
/// </remarks>
public static class HubClient
{
    /// <summary>
    /// True if a text has the form owner/name of a model or data set. A local path can have this form too. So first check whether a folder
    /// or file of that name exists.
    /// </summary>
    /// <param name="id">The text to check.</param>
    public static bool IsId(string id) => HubNames.IsId(id);

    /// <summary>
    /// Downloads the files of a model that the cache lacks, and returns the folder that holds all files under their original names.
    /// </summary>
    /// <param name="id">The id of the model, owner/name.</param>
    /// <param name="options">
    /// The options. Null uses the defaults and the environment variables HF_ENDPOINT, HF_HUB_CACHE, HF_HOME, HF_TOKEN and HF_HUB_OFFLINE.
    /// </param>
    /// <param name="cancellationToken">Cancels the download. The next call continues it.</param>
    /// <exception cref="ArgumentException">The id or an option is malformed.</exception>
    /// <returns>The path of the folder.</returns>
    /// <exception cref="HubException">
    /// The hub is unreachable and the cache is incomplete, or the hub refuses the request or sends wrong content.
    /// </exception>
    public static async Task<string> DownloadAsync(string id, HubOptions? options = null, CancellationToken cancellationToken = default)
    {
        HubNames.RequireId(id, "Qwen/Qwen2.5-0.5B-Instruct", "an existing folder");
        return await DownloadAsync(new HubModelFiles(HubRepositoryId.Model(id)), options, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>
    /// Downloads only the <c>config.json</c> of a model and the small files that may hold its chat template, and returns the folder that
    /// holds them. They are enough to compute the size of the model.
    /// </summary>
    /// <param name="id">The id of the model, owner/name.</param>
    /// <param name="options">
    /// The options. Null uses the defaults and the environment variables HF_ENDPOINT, HF_HUB_CACHE, HF_HOME, HF_TOKEN and HF_HUB_OFFLINE.
    /// </param>
    /// <param name="cancellationToken">Cancels the download. The next call continues it.</param>
    /// <exception cref="ArgumentException">The id or an option is malformed.</exception>
    /// <returns>The path of the folder.</returns>
    /// <exception cref="HubException">
    /// The hub is unreachable and the cache is incomplete, or the hub refuses the request or sends wrong content.
    /// </exception>
    public static async Task<string> DownloadConfigAsync(
        string id, HubOptions? options = null, CancellationToken cancellationToken = default)
    {
        HubNames.RequireId(id, "Qwen/Qwen2.5-0.5B-Instruct", "an existing folder");
        return await DownloadAsync(new HubConfigFile(HubRepositoryId.Model(id)), options, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Returns the path of the file that holds a split of a data set. Downloads the file if the cache lacks it.</summary>
    /// <remarks>
    /// The file is a .parquet or .jsonl file named for the split: <c>train.jsonl</c>, <c>main/train-00000-of-00001.parquet</c>. If several
    /// folders (configurations) hold the split, <c>main</c> is used, or else <c>default</c>. Without network the choice is
    /// among the files in the cache.
    /// </remarks>
    /// <param name="id">The id of the data set, owner/name.</param>
    /// <param name="split">The name of the split, such as "train" or "test". Case matters.</param>
    /// <param name="options">
    /// The options. Null uses the defaults and the environment variables HF_ENDPOINT, HF_HUB_CACHE, HF_HOME, HF_TOKEN and HF_HUB_OFFLINE.
    /// </param>
    /// <param name="cancellationToken">Cancels the download. The next call continues it.</param>
    /// <returns>The path of the file.</returns>
    /// <exception cref="ArgumentException">The id, the split or an option is malformed.</exception>
    /// <exception cref="HubException">
    /// No file is named for the split, or the split consists of several files, or its file has more than 4 GiB. Or several configurations
    /// hold the split, and none is called <c>main</c> or <c>default</c>. Or the hub is unreachable and the cache is incomplete, or the hub
    /// refuses the request or sends wrong content.
    /// </exception>
    public static async Task<string> DownloadDatasetAsync(
        string id, string split, HubOptions? options = null, CancellationToken cancellationToken = default)
    {
        HubNames.RequireId(id, "openai/gsm8k", "an existing file");
        HubNames.RequireSplit(split);
        return await DownloadAsync(new HubDatasetFiles(HubRepositoryId.Dataset(id), split), options, cancellationToken)
            .ConfigureAwait(false);
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
            throw new HubException(settings.Secret.Mask(e.Message)); // without the inner exceptions, which repeat the server's text
        }
    }

    private static async Task<string> DownloadAsync(HubFiles wanted, HubSettings settings, CancellationToken cancellationToken)
    {
        var cache = new HubCache(settings.CacheDirectory, wanted.Id, cancellationToken);
        (string? cached, string missing) =
            await Task.Run(() => wanted.Find(cache, settings.Revision), cancellationToken).ConfigureAwait(false);
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
            // If the cache has everything, the hub is only asked for news. That is not worth several attempts.
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
        var download = new HubSnapshotDownload(connection, repository, cache, wanted, listing.Commit);
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
        $"To get it by hand: on a machine with network run '{wanted.Id.DownloadCommand} --revision {settings.Revision} --local-dir "
            + "<folder>', or save the files from "
            + $"{settings.Endpoint.AbsoluteUri.TrimEnd('/')}/{wanted.Id.WebPath}/tree/{settings.Revision}, and give {wanted.ByHand} in "
            + "place of the id. Behind a mirror set HF_ENDPOINT.";
}

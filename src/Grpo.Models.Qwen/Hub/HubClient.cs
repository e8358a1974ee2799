namespace Grpo.Models.Qwen;

/// <summary>
/// Downloads a model from a Hugging Face hub into the cache that Python's huggingface_hub uses: what either has downloaded, both find.
/// </summary>
/// <remarks>
/// Fetched are <c>config.json</c>, <c>generation_config.json</c>, the tokenizer's files, and <c>model.safetensors</c> or the parts that its index
/// names. Every file is checked against the size and hash that the hub states. A file that is in the cache already is trusted by its size.
/// </remarks>
public static class HubClient
{
    /// <summary>Whether a text has the form owner/name. It may still be a folder: look there first.</summary>
    /// <param name="id">The text.</param>
    public static bool IsId(string id) => HubNames.IsId(id);

    /// <summary>Downloads what is missing and returns the folder of the snapshot, which holds the files under their own names.</summary>
    /// <param name="id">owner/name.</param>
    /// <param name="options">Null: defaults and environment.</param>
    /// <param name="cancellationToken">Stops at once; the next call continues where this one stopped.</param>
    /// <exception cref="ArgumentException">The id or an option is malformed.</exception>
    /// <exception cref="HubException">The hub is unreachable and the cache incomplete, refuses, or sends what it did not promise.</exception>
    public static async Task<string> DownloadAsync(string id, HubOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(id);
        HubNames.RequireId(id);
        HubSettings settings = HubSettings.Resolve(
            options ?? new HubOptions(),
            Environment.GetEnvironmentVariable,
            Environment.GetFolderPath(Environment.SpecialFolder.UserProfile));
        var cache = new HubCache(settings.CacheDirectory, id);
        (string? cached, string missing) = cache.Find(settings.Revision);
        if (cached is not null && (settings.Offline || HubNames.IsCommit(settings.Revision)))
        {
            return cached;
        }

        if (settings.Offline)
        {
            throw new HubException(
                $"'{id}' is not complete in the cache (missing: {missing}), and the network is off (HF_HUB_OFFLINE or HubOptions.Offline). "
                + ByHand(id, settings));
        }

        using var connection = new HubConnection(settings);
        var repository = new HubRepository(connection, settings, id);
        (string Commit, HashSet<string> Files) listing;
        try
        {
            // With a complete snapshot at hand there is no reason to wait long for news of it.
            var budget = new RetryBudget(settings, cached is null ? settings.MaxAttempts : 1);
            listing = await budget.RunAsync(() => repository.ListAsync(cancellationToken), cancellationToken).ConfigureAwait(false);
        }
        catch (HubTransientException e) when (cached is not null)
        {
            settings.Logger.UsingCache(e.Message, cached);
            return cached;
        }
        catch (HubTransientException e)
        {
            throw new HubException(
                $"'{id}' cannot be downloaded from {settings.Endpoint.Host}: {e.Message} Nor is it complete in the cache (missing: {missing}). "
                + ByHand(id, settings),
                e);
        }

        var download = new HubSnapshotDownload(connection, settings, repository, cache, id, listing.Commit);
        await download.RunAsync(listing.Files, cancellationToken).ConfigureAwait(false);
        cache.WriteRef(settings.Revision, listing.Commit);
        return cache.SnapshotPath(listing.Commit);
    }

    private static string ByHand(string id, HubSettings settings) =>
        $"To get it by hand: on a machine with network run 'hf download {id} --revision {settings.Revision} --local-dir <folder>', or save the "
        + $"files from {settings.Endpoint.AbsoluteUri.TrimEnd('/')}/{id}/tree/{settings.Revision}, and give that folder in place of the id. "
        + "Behind a mirror set HF_ENDPOINT.";
}

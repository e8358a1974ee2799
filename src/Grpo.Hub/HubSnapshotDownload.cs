namespace Grpo.Hub;

/// <summary>The download of a commit's files, one after the other, into the cache, with links in the commit's snapshot.</summary>
internal sealed class HubSnapshotDownload(
    HubConnection connection, HubRepository repository, HubCache cache, HubFiles wanted, string commit)
{
    private readonly HubSettings _settings = connection.Settings;

    public async Task RunAsync(IReadOnlyList<string> selected, IReadOnlySet<string> available, CancellationToken cancellationToken)
    {
        var files = new List<string>(selected);
        for (int i = 0; i < files.Count; i++)
        {
            await FetchAsync(files[i], i + 1, files, cancellationToken).ConfigureAwait(false);
            if (files[i] == HubModelFiles.Index)
            {
                foreach (string shard in HubModelFiles.ReadShards(cache.FilePath(commit, HubModelFiles.Index)))
                {
                    files.Add(available.Contains(shard)
                        ? shard
                        : throw new HubException($"The index of '{wanted.Id}' names '{shard}', which the repository does not hold."));
                }
            }
        }
    }

    private async Task FetchAsync(string name, int number, List<string> files, CancellationToken cancellationToken)
    {
        // A commit never changes, so an intact file of its snapshot needs no request.
        if (cache.Check(commit, name) == CachedFile.Intact)
        {
            return;
        }

        try
        {
            var budget = new RetryBudget(_settings, _settings.MaxAttempts);
            HubFileInfo file = await budget.RunAsync(
                () => repository.DescribeAsync(commit, name, wanted.MaxBytes(name), cancellationToken), cancellationToken)
                    .ConfigureAwait(false);
            using IDisposable alone = await HubLock
                .AcquireAsync(cache.LockPath(file.Hash), () => _settings.Logger.WaitingForOther(name), cancellationToken)
                    .ConfigureAwait(false);
            await FetchAsync(file, number, files.Count, cancellationToken).ConfigureAwait(false);
        }
        catch (HubTransientException e)
        {
            throw new HubException(
                $"'{name}' of '{wanted.Id}' was not completed. {e.Message} What has arrived is kept: "
                + "the next call continues from there.", e);
        }
    }

    private async Task FetchAsync(HubFileInfo file, int number, int count, CancellationToken cancellationToken)
    {
        CachedFile shown = cache.Check(commit, file.Name);
        bool isUnchecked = shown == CachedFile.Unchecked;
        if (shown == CachedFile.Intact || (isUnchecked && cache.IsHashOf(cache.FilePath(commit, file.Name), file.Hash)))
        {
            return; // another process finished it meanwhile, or the unchecked file has the right hash
        }

        bool isNew = !cache.IsIntact(file.Hash);
        if (isUnchecked || shown == CachedFile.Damaged || (isNew && cache.HasBlob(file.Hash)))
        {
            _settings.Logger.Damaged(file.Name);
        }

        if (isNew)
        {
            var download = new HubFileDownload(connection, _settings, repository, file, repository.AddressOf(commit, file.Name));
            void Report(long bytes) => _settings.Progress?.Report(new HubProgress(file.Name, number, count, bytes, file.Size));
            await download.RunAsync(cache.PartPath(file.Hash), cache.BlobPath(file.Hash), Report, cancellationToken).ConfigureAwait(false);
        }

        cache.Link(commit, file.Name, file.Hash, isNew);
    }
}

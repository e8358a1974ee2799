namespace Grpo.Hub;

/// <summary>Brings the files of one commit into the cache, one after the other, and links them into its snapshot.</summary>
internal sealed class HubSnapshotDownload(
    HubConnection connection, HubSettings settings, HubRepository repository, HubCache cache, HubFiles wanted, string commit)
{
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
        // A commit never changes: what its snapshot shows is what it was.
        if (cache.Look(commit, name) == CachedFile.Intact)
        {
            return;
        }

        try
        {
            var budget = new RetryBudget(settings, settings.MaxAttempts);
            HubFileInfo file = await budget.RunAsync(
                () => repository.DescribeAsync(commit, name, wanted.MaxBytes(name), cancellationToken), cancellationToken).ConfigureAwait(false);
            using IDisposable alone = await HubLock
                .TakeAsync(cache.LockPath(file.Hash), () => settings.Logger.WaitingForOther(name), cancellationToken).ConfigureAwait(false);
            await FetchAsync(file, number, files.Count, cancellationToken).ConfigureAwait(false);
        }
        catch (HubTransientException e)
        {
            throw new HubException(
                $"'{name}' of '{wanted.Id}' was not completed. {e.Message} What has arrived is kept: the next call continues from there.", e);
        }
    }

    private async Task FetchAsync(HubFileInfo file, int number, int count, CancellationToken cancellationToken)
    {
        CachedFile shown = cache.Look(commit, file.Name);
        bool isUnchecked = shown == CachedFile.Unchecked;
        if (shown == CachedFile.Intact || (isUnchecked && cache.IsHashOf(cache.FilePath(commit, file.Name), file.Hash)))
        {
            return; // another process finished it while this one waited, or it is what the hub says
        }

        bool isNew = !cache.IsIntact(file.Hash);
        if (isUnchecked || shown == CachedFile.Damaged || (isNew && cache.HasBlob(file.Hash)))
        {
            settings.Logger.Damaged(file.Name);
        }

        if (isNew)
        {
            var download = new HubFileDownload(connection, settings, repository, file, repository.AddressOf(commit, file.Name));
            void Report(long bytes) => settings.Progress?.Report(new HubProgress(file.Name, number, count, bytes, file.Size));
            await download.RunAsync(cache.PartPath(file.Hash), cache.BlobPath(file.Hash), Report, cancellationToken).ConfigureAwait(false);
        }

        cache.Link(commit, file.Name, file.Hash, isNew);
    }
}

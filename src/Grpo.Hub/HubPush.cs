namespace Grpo.Hub;

/// <summary>One upload: creates the repository, sends what the hub lacks, commits, and compares the commit with the folder.</summary>
internal sealed class HubPush
{
    private readonly HubConnection _connection;
    private readonly HubSettings _settings;
    private readonly HubRepositoryId _id;
    private readonly HubUploadOptions _options;
    private readonly HubAnswers _answers;
    private readonly HubCommits _commits;
    private readonly HubRepository _repository;

    public HubPush(HubConnection connection, HubRepositoryId id, HubUploadOptions options)
    {
        (_connection, _settings, _id, _options) = (connection, connection.Settings, id, options);
        _answers = new HubAnswers(connection, id);
        _commits = new HubCommits(connection, _answers, id);
        _repository = new HubRepository(connection, _settings, id);
    }

    public async Task<HubCommit> RunAsync(string folder, IReadOnlyList<HubUploadFile> found, CancellationToken cancellationToken)
    {
        await OpenAsync(cancellationToken).ConfigureAwait(false);
        var files = new List<LocalFile>(found.Count);
        foreach (HubUploadFile file in found)
        {
            files.Add(await LocalFile.ReadAsync(folder, file, cancellationToken).ConfigureAwait(false));
        }

        // A commit whose answer was lost may have been made. The next round sees that, because it asks for the files again.
        var budget = new RetryBudget(_settings, _settings.MaxAttempts);
        string[]? changes = null;
        while (true)
        {
            (string head, IReadOnlyList<FileState> states) = await LookAsync(files, cancellationToken).ConfigureAwait(false);
            FileState[] changed = [.. states.Where(state => !state.IsThere)];
            changes ??= [.. changed.Select(state => state.File.Path)];
            await SendAsync(changed, cancellationToken).ConfigureAwait(false);
            try
            {
                (string commit, long? pullRequest) = changed.Length == 0
                    ? (head, null)
                    : await CommitAsync(changed, head, cancellationToken).ConfigureAwait(false);
                await VerifyAsync(commit, states, cancellationToken).ConfigureAwait(false);
                return new HubCommit(
                    commit, Page($"commit/{commit}"), pullRequest is { } number ? Page($"discussions/{number}") : null, changes);
            }
            catch (HubConflictException e)
            {
                await budget.WaitAsync(new HubTransientException(e.Message, e), cancellationToken).ConfigureAwait(false);
            }
            catch (HubTransientException e) when (!_options.CreatePullRequest)
            {
                await budget.WaitAsync(e, cancellationToken).ConfigureAwait(false);
            }
            catch (HubTransientException e)
            {
                throw new HubException(
                    $"{e.Message} The pull request may have been opened all the same. Look at {Page("discussions")} before you try again.",
                    e);
            }
        }
    }

    private async Task OpenAsync(CancellationToken cancellationToken)
    {
        HubException? refusal = await Retry().RunAsync(() => _commits.CreateAsync(_options.Private, cancellationToken), cancellationToken)
            .ConfigureAwait(false);
        try
        {
            await Retry().RunAsync(() => _repository.ListAsync(cancellationToken), cancellationToken).ConfigureAwait(false);
        }
        catch (HubException e) when (refusal is not null && e is not HubTransientException)
        {
            throw refusal; // the repository does not exist, and the token may not create it
        }

        if (_options.Private)
        {
            await Retry().RunAsync(
                async () =>
                {
                    await _commits.RequirePrivateAsync(cancellationToken).ConfigureAwait(false);
                    return true;
                },
                cancellationToken).ConfigureAwait(false);
        }
    }

    private async Task<(string Head, IReadOnlyList<FileState> States)> LookAsync(
        List<LocalFile> files, CancellationToken cancellationToken)
    {
        (string head, _) = await Retry().RunAsync(() => _repository.ListAsync(cancellationToken), cancellationToken).ConfigureAwait(false);
        IReadOnlyList<FileState> states = await Retry().RunAsync(
            () => _commits.DescribeAsync(files, _options.CreatePullRequest, cancellationToken), cancellationToken).ConfigureAwait(false);
        if (_options.ParentCommit is { } parent && parent != head && states.Any(state => !state.IsThere))
        {
            throw new HubException(
                $"The newest commit of '{_settings.Revision}' of '{_id}' is {head}, not {parent}. Nothing was committed. Look at what "
                + "came between, and name the newest commit or none.");
        }

        return (head, states);
    }

    private async Task SendAsync(FileState[] changed, CancellationToken cancellationToken)
    {
        // The hub checks the right to write to a branch that is named, and a pull request needs no such right.
        var batch = new LfsBatch(_connection, _answers, _id, _options.CreatePullRequest ? null : _settings.Revision);
        for (int i = 0; i < changed.Length; i++)
        {
            (LocalFile file, bool isLarge, _) = changed[i];
            int number = i + 1;
            if (isLarge)
            {
                var upload = new LfsUpload(_connection, _answers, batch, file);
                await upload.RunAsync(bytes => Report(file, number, changed.Length, bytes), cancellationToken).ConfigureAwait(false);
            }
        }
    }

    private async Task<(string Commit, long? PullRequest)> CommitAsync(
        FileState[] changed, string head, CancellationToken cancellationToken)
    {
        byte[] body = await _commits.BuildAsync(changed, _options.CommitMessage, head, cancellationToken).ConfigureAwait(false);
        (string Commit, long? PullRequest) made =
            await _commits.CommitAsync(body, _options.CreatePullRequest, cancellationToken).ConfigureAwait(false);
        for (int i = 0; i < changed.Length; i++)
        {
            if (!changed[i].IsLarge)
            {
                Report(changed[i].File, i + 1, changed.Length, changed[i].File.Size);
            }
        }

        return made;
    }

    private void Report(LocalFile file, int number, int count, long bytes) =>
        _options.Progress?.Report(new HubUploadProgress(file.Path, number, count, bytes, file.Size));

    // The hub is asked for what it has now, because its answer to the commit says nothing about the content.
    private async Task VerifyAsync(string commit, IReadOnlyList<FileState> states, CancellationToken cancellationToken)
    {
        foreach (LocalFile file in states.Select(state => state.File))
        {
            HubFileInfo there;
            try
            {
                there = await Retry().RunAsync(
                    () => _repository.DescribeAsync(commit, file.Path, long.MaxValue, cancellationToken), cancellationToken)
                        .ConfigureAwait(false);
            }
            catch (HubException e)
            {
                throw new HubException(
                    $"The hub names the commit {commit} of '{_id}', but '{file.Path}' in it cannot be compared with the folder: "
                    + e.Message,
                    e);
            }

            if (there.Size != file.Size || there.Hash != (HubNames.IsSha256(there.Hash) ? file.Sha256 : file.GitHash))
            {
                throw new HubException(
                    $"The hub's commit {commit} of '{_id}' holds another '{file.Path}' than the folder: {there.Size} bytes with the hash "
                    + $"{there.Hash}, not {file.Size} bytes. Do not use this commit. Try again, and check HF_ENDPOINT.");
            }
        }
    }

    private RetryBudget Retry() => new(_settings, _settings.MaxAttempts);

    private Uri Page(string path) => new($"{_settings.Endpoint.AbsoluteUri.TrimEnd('/')}/{_id.WebPath}/{path}");
}

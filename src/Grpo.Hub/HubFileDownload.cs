using System.Net.Http.Headers;

namespace Grpo.Hub;

/// <summary>
/// The download of one file into <c>blobs</c>. It continues an earlier attempt, and renames the file only if size and hash are right.
/// </summary>
internal sealed class HubFileDownload(
    HubConnection connection, HubSettings settings, HubRepository repository, HubFileInfo file, Uri address)
{
    private const long EnoughProgress = 1_048_576;

    private string? _validator = file.Validator;

    /// <summary>
    /// Downloads into a partial file and renames it to the blob. <paramref name="report"/> gets the number of bytes on disk.
    /// </summary>
    public async Task RunAsync(string partPath, string blobPath, Action<long> report, CancellationToken cancellationToken)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(blobPath)!);
        string actual;
        using (var part = new FileStream(
            partPath, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read, 4096, FileOptions.Asynchronous))
        {
            RequireSpace(part);
            bool wasResumed = part.Length > 0;
            await FillAsync(part, report, cancellationToken).ConfigureAwait(false);
            actual = await HashAsync(part, cancellationToken).ConfigureAwait(false);
            if (actual != file.Hash && wasResumed)
            {
                // The partial file was damaged or belonged to other content. Restart from its beginning.
                settings.Logger.StartingAgain(file.Name);
                part.SetLength(0);
                await FillAsync(part, report, cancellationToken).ConfigureAwait(false);
                actual = await HashAsync(part, cancellationToken).ConfigureAwait(false);
            }

            part.Flush(flushToDisk: true);
        }

        if (actual != file.Hash)
        {
            File.Delete(partPath);
            throw new HubException(
                $"'{file.Name}' from {address.Host} has the hash {actual} but the hub promised {file.Hash}. It was deleted. "
                + "A proxy or mirror changes the content, or the disk is failing: try again, or download it by hand.");
        }

        File.Move(partPath, blobPath, overwrite: true);
    }

    /// <summary>Appends to the partial file until it has the promised size.</summary>
    private async Task FillAsync(FileStream part, Action<long> report, CancellationToken cancellationToken)
    {
        var budget = new RetryBudget(settings, settings.MaxAttempts);
        if (part.Length > file.Size)
        {
            part.SetLength(0);
        }

        report(part.Length);
        while (part.Length < file.Size)
        {
            long before = part.Length;
            try
            {
                await FetchAsync(part, report, cancellationToken).ConfigureAwait(false);
            }
            catch (HubTransientException e)
            {
                if (part.Length - before >= EnoughProgress)
                {
                    budget.Reset();
                }

                await budget.WaitAsync(e, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    private async Task FetchAsync(FileStream part, Action<long> report, CancellationToken cancellationToken)
    {
        // The store behind a redirect has its own ETag, known from its first answer. In a later run only the hash decides.
        RangeConditionHeaderValue? ifRange = _validator is null
            ? null
            : new RangeConditionHeaderValue(new EntityTagHeaderValue(_validator));
        using HttpResponseMessage response = await connection
            .SendAsync(HttpMethod.Get, address, ifRange, part.Length, stopAtOtherHost: false, cancellationToken).ConfigureAwait(false);
        if ((int)response.StatusCode == 416 && part.Length > 0)
        {
            part.SetLength(0);
            throw new HubTransientException($"{address.Host} cannot continue '{file.Name}'; it starts again.");
        }

        repository.RequireSuccess(response, $"'{file.Name}'");
        _validator = response.Headers.ETag is { IsWeak: false } etag ? etag.Tag : null;
        ContentRangeHeaderValue? range = (int)response.StatusCode == 206 ? response.Content.Headers.ContentRange : null;
        if (range?.From != part.Length)
        {
            part.SetLength(0); // the server sends the whole file instead of a part
        }

        long? total = range?.Length ?? (range is null ? response.Content.Headers.ContentLength : null);
        if (total is not null && total != file.Size)
        {
            throw new HubException(
                $"The hub promised {file.Size} bytes of '{file.Name}' but {response.RequestMessage!.RequestUri!.Host} sends {total}. "
                + "Nothing was kept of this answer.");
        }

        if (range is not null && range.From != part.Length)
        {
            throw new HubTransientException(
                $"{address.Host} sends '{file.Name}' from byte {range.From}, which was not asked for; it starts again.");
        }

        await AppendAsync(response, part, report, cancellationToken).ConfigureAwait(false);
    }

    private async Task AppendAsync(HttpResponseMessage response, FileStream part, Action<long> report, CancellationToken cancellationToken)
    {
        part.Seek(0, SeekOrigin.End);
        using Stream body = await response.Content.ReadAsStreamAsync(cancellationToken).ConfigureAwait(false);
        var buffer = new byte[131_072];
        long reported = part.Length;
        int count;
        while ((count = await connection.ReadAsync(body, buffer, $"'{file.Name}'", cancellationToken).ConfigureAwait(false)) > 0)
        {
            if (part.Length + count > file.Size)
            {
                part.SetLength(0);
                throw new HubException($"{address.Host} sends more than the promised {file.Size} bytes of '{file.Name}'. It was not kept.");
            }

            await part.WriteAsync(buffer.AsMemory(0, count), cancellationToken).ConfigureAwait(false);
            if (part.Length - reported >= EnoughProgress || part.Length == file.Size)
            {
                reported = part.Length;
                report(reported);
            }
        }

        if (part.Length < file.Size)
        {
            throw new HubTransientException($"'{file.Name}' was cut after {part.Length} of {file.Size} bytes.");
        }
    }

    private Task<string> HashAsync(FileStream part, CancellationToken cancellationToken) =>
        Task.Run(() => BlobHash.Compute(part, file.Hash, cancellationToken), cancellationToken);

    private void RequireSpace(FileStream part)
    {
        if (part.Name.StartsWith(@"\\", StringComparison.Ordinal))
        {
            return; // a network share has no drive with a known size
        }

        long free = new DriveInfo(part.Name).AvailableFreeSpace;
        if (file.Size - part.Length > free)
        {
            throw new HubException(
                $"'{file.Name}' needs {file.Size - part.Length} more bytes but the disk of '{Path.GetDirectoryName(part.Name)}' has "
                + $"{free}. Free some, or set HF_HOME to a larger disk.");
        }
    }
}

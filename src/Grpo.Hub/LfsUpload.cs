using System.Net.Http.Headers;

namespace Grpo.Hub;

/// <summary>
/// The upload of one large file. A failed part is sent again; if the addresses have expired, new ones are asked for and the file starts
/// again.
/// </summary>
internal sealed class LfsUpload(HubConnection connection, HubAnswers answers, LfsBatch batch, LocalFile file)
{
    private const int MaxEtag = 512;

    private readonly HubSettings _settings = connection.Settings;
    private readonly List<string> _etags = [];
    private LfsInstructions? _instructions;

    /// <summary>Uploads the file, unless the hub has it.</summary>
    /// <param name="report">Receives the number of bytes that the hub has.</param>
    /// <param name="cancellationToken">Cancels the upload.</param>
    public async Task RunAsync(Action<long> report, CancellationToken cancellationToken)
    {
        var budget = new RetryBudget(_settings, _settings.MaxAttempts);
        int mostParts = 0;
        while (true)
        {
            try
            {
                if (_instructions is null)
                {
                    _etags.Clear();
                    _instructions = await batch.AskAsync(file, cancellationToken).ConfigureAwait(false);
                }

                if (_instructions is null)
                {
                    report(file.Size);
                    return;
                }

                await SendAsync(_instructions, report, cancellationToken).ConfigureAwait(false);
                report(file.Size);
                return;
            }
            catch (HubTransientException e)
            {
                if (_etags.Count > mostParts)
                {
                    // Only parts beyond all earlier attempts count, or a store that refuses the last part would never be given up.
                    mostParts = _etags.Count;
                    budget.Reset();
                }

                await budget.WaitAsync(e, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    private async Task SendAsync(LfsInstructions instructions, Action<long> report, CancellationToken cancellationToken)
    {
        string what = $"'{file.Path}'";
        if (instructions.Parts.Count == 0)
        {
            HubBody whole = UploadContents.Part(file, 0, file.Size, report, instructions.Upload.Headers);
            await StepAsync(whole, instructions.Upload.Address, what, keepOnCut: false, cancellationToken).ConfigureAwait(false);
        }
        else
        {
            await SendPartsAsync(instructions, report, cancellationToken).ConfigureAwait(false);
            await file.RequireUnchangedAsync(cancellationToken).ConfigureAwait(false);
            HubBody completion = UploadContents.Lfs(Completion(), instructions.Upload.Headers);
            await StepAsync(completion, instructions.Upload.Address, $"the last step of {what}", keepOnCut: false, cancellationToken)
                .ConfigureAwait(false);
        }

        if (instructions.Verify is { } verify)
        {
            byte[] json = HubWriting.Json(writer =>
            {
                writer.WriteString("oid", file.Sha256);
                writer.WriteNumber("size", file.Size);
            });
            HubBody confirmation = UploadContents.Lfs(json, verify.Headers);
            await StepAsync(confirmation, verify.Address, $"the confirmation of {what}", keepOnCut: false, cancellationToken)
                .ConfigureAwait(false);
        }
    }

    private async Task SendPartsAsync(LfsInstructions instructions, Action<long> report, CancellationToken cancellationToken)
    {
        for (int i = _etags.Count; i < instructions.Parts.Count; i++)
        {
            long start = i * instructions.PartBytes;
            HubBody part = UploadContents.Part(
                file, start, Math.Min(instructions.PartBytes, file.Size - start), report, HubBody.NoHeaders);
            string what = $"part {i + 1} of '{file.Path}'";
            string? etag = await StepAsync(part, instructions.Parts[i], what, keepOnCut: true, cancellationToken).ConfigureAwait(false);
            _etags.Add(etag is { Length: > 0 and <= MaxEtag } && !etag.Any(char.IsControl)
                ? _settings.Secret.Refuse(etag, "the ETag of a part")
                : throw new HubException(
                    $"{instructions.Parts[i].Host} states no ETag for {what}, so it cannot be completed. A proxy may have removed it."));
        }
    }

    private byte[] Completion() => HubWriting.Json(writer =>
    {
        writer.WriteString("oid", file.Sha256);
        writer.WriteStartArray("parts");
        for (int i = 0; i < _etags.Count; i++)
        {
            writer.WriteStartObject();
            writer.WriteNumber("partNumber", i + 1);
            writer.WriteString("etag", _etags[i]);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    });

    /// <summary>Sends one request of the upload and returns the ETag of its answer.</summary>
    /// <param name="body">The body.</param>
    /// <param name="address">The address that the hub named.</param>
    /// <param name="what">The description of the content, for messages.</param>
    /// <param name="keepOnCut">True if the instructions are still good after a cut: the request alone is repeated.</param>
    /// <param name="cancellationToken">Cancels the request.</param>
    private async Task<string?> StepAsync(
        HubBody body, Uri address, string what, bool keepOnCut, CancellationToken cancellationToken)
    {
        LfsInstructions? instructions = _instructions;
        _instructions = keepOnCut ? instructions : null; // after a failure, ask again: the hub may have the file by now
        using HttpResponseMessage response = await connection.SendAsync(body, address, cancellationToken).ConfigureAwait(false);
        int code = (int)response.StatusCode;
        if (code is 413)
        {
            await answers.RequireSuccessAsync(response, what, cancellationToken).ConfigureAwait(false);
        }

        if (!response.IsSuccessStatusCode)
        {
            if (code is >= 400 and < 500 and not (408 or 429))
            {
                _instructions = null; // the address has expired, or the parts are gone
            }

            string host = response.RequestMessage?.RequestUri?.Host ?? address.Host;
            throw new HubTransientException(
                $"{host} answers {code} for {what}.", retryAfter: HubRepository.RetryAfter(response.Headers.RetryAfter));
        }

        _instructions = instructions;
        return response.Headers.NonValidated.TryGetValues("ETag", out HeaderStringValues values) ? values.ToString() : null;
    }
}

using System.Text.Json;
using Grpo.IO;

namespace Grpo.Hub;

/// <summary>Reads and checks the answers of a hub to the requests of an upload.</summary>
internal sealed class HubAnswers(HubConnection connection, HubRepositoryId id)
{
    private const int MaxBytes = 4 * 1_048_576;
    private const int MaxErrorBytes = 65_536;
    private const int ShownCharacters = 300;

    private readonly HubSettings _settings = connection.Settings;

    /// <summary>Sends a request to the hub and reads its answer.</summary>
    /// <param name="body">The body of the request.</param>
    /// <param name="path">The path of the address on the hub.</param>
    /// <param name="what">The description of the request, such as "the commit to 'owner/name'".</param>
    /// <param name="read">Reads the answer.</param>
    /// <param name="cancellationToken">Cancels the request.</param>
    public async Task<T> AskAsync<T>(
        HubBody body, string path, string what, Func<HubJson, T> read, CancellationToken cancellationToken)
    {
        using HttpResponseMessage response =
            await connection.SendAsync(body, connection.AddressOf(path), cancellationToken).ConfigureAwait(false);
        await RequireSuccessAsync(response, what, cancellationToken).ConfigureAwait(false);
        return await ReadAsync(response, what, read, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Reads the JSON object of an answer.</summary>
    public async Task<T> ReadAsync<T>(
        HttpResponseMessage response, string what, Func<HubJson, T> read, CancellationToken cancellationToken)
    {
        byte[] content = await connection.ReadAsync(response, MaxBytes, $"The answer to {what}", cancellationToken).ConfigureAwait(false);
        try
        {
            using var json = new HubJson($"the answer to {what}", content);
            return read(json);
        }
        catch (InvalidDataException e)
        {
            throw new HubException($"{Host(response)} does not answer as a hub does. {e.Message}", e);
        }
    }

    /// <summary>Throws an explanation if the hub refused a request: a transient one if another attempt can succeed.</summary>
    public async Task RequireSuccessAsync(HttpResponseMessage response, string what, CancellationToken cancellationToken)
    {
        if (response.IsSuccessStatusCode)
        {
            return;
        }

        int code = (int)response.StatusCode;
        string host = Host(response);
        if (code is 408 or 429 or >= 500)
        {
            throw new HubTransientException(
                $"{host} answers {code} to {what}.", retryAfter: HubRepository.RetryAfter(response.Headers.RetryAfter));
        }

        string said = await ReasonAsync(response, cancellationToken).ConfigureAwait(false);
        string token = _settings.Token is null
            ? "No token is set: set HF_TOKEN to one that may write."
            : "The token that is set may not: set HF_TOKEN to one that may write.";
        throw code switch
        {
            400 or 422 => new HubException($"{host} refuses {what} ({code}).{said} Nothing was committed."),
            401 => new HubException($"{host} refuses {what} (401).{said} {token}"),
            403 => new HubException($"{host} refuses {what} (403).{said} {token}"),
            404 => new HubException(
                $"{host} does not have {what} (404).{said} Check the spelling of the id, and that the branch '{_settings.Revision}' "
                + "exists."),
            409 or 412 => new HubConflictException($"{host} refuses {what} ({code}): another commit came first, or is being made.{said}"),
            413 => new HubException($"{host} refuses {what} (413): it is too large.{said} Exclude files, or send them in several uploads."),
            _ => new HubException(
                $"{host} answers {code} to {what}, which is not how a hub answers.{said} Check HF_ENDPOINT and the proxy."),
        };
    }

    private string Host(HttpResponseMessage response) => response.RequestMessage?.RequestUri?.Host ?? _settings.Endpoint.Host;

    // Only the hub explains a refusal, in "error". The page of a proxy in between is not shown.
    private async Task<string> ReasonAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        try
        {
            byte[] content = await connection.ReadAsync(response, MaxErrorBytes, $"The refusal of '{id}'", cancellationToken)
                .ConfigureAwait(false);
            using var json = new HubJson("the refusal", content);
            string? text = json.Root.TryGetProperty("error", out JsonElement error) && error.ValueKind == JsonValueKind.String
                ? error.GetString()
                : null;
            return string.IsNullOrWhiteSpace(text) ? string.Empty : $" It says: \"{Shorten(text)}\".";
        }
        catch (Exception e) when (e is InvalidDataException or HubException)
        {
            return string.Empty; // the code alone explains it
        }
    }

    /// <summary>Returns the beginning of a server's text, without the token and safe to show.</summary>
    public string Shorten(string text)
    {
        string safe = TerminalText.EscapeLine(_settings.Secret.Mask(text));
        return safe.Length <= ShownCharacters ? safe : safe[..ShownCharacters] + "…";
    }
}

/// <summary>The exception for a commit that another one overtook.</summary>
internal sealed class HubConflictException(string message) : HubException(message);

using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;

namespace Grpo.Hub;

/// <summary>One repository at the hub: lists its files at a revision and describes them.</summary>
internal sealed class HubRepository(HubConnection connection, HubSettings settings, HubRepositoryId id)
{
    private const int MaxListingBytes = 16 * 1_048_576;

    /// <summary>Returns the commit that the revision names now, and the files in it.</summary>
    public async Task<(string Commit, HashSet<string> Files)> ListAsync(CancellationToken cancellationToken)
    {
        Uri address = connection.AddressOf($"{id.ApiPath}/revision/{Uri.EscapeDataString(settings.Revision)}");
        using HttpResponseMessage response = await connection
            .SendAsync(HttpMethod.Get, address, null, 0, stopAtOtherHost: false, cancellationToken).ConfigureAwait(false);
        RequireSuccess(response, $"the list of files of '{id}'");
        string what = $"The list of files of '{id}'";
        byte[] content = await connection.ReadAsync(response, MaxListingBytes, what, cancellationToken).ConfigureAwait(false);
        try
        {
            using var json = new HubJson(address.GetLeftPart(UriPartial.Path), content);
            string commit = json.Text(json.Require(json.Root, "sha", JsonValueKind.String), "sha");
            var files = new HashSet<string>(StringComparer.Ordinal);
            foreach (JsonElement file in json.Require(json.Root, "siblings", JsonValueKind.Array).EnumerateArray())
            {
                string name = json.Text(json.Require(file, "rfilename", JsonValueKind.String), "rfilename");
                files.Add(HubNames.IsInsideFolder(name)
                    ? settings.Secret.Refuse(name, "the name of a file")
                    : throw json.Error($"The file name '{name}' could leave the folder that it is written to. Nothing was downloaded."));
            }

            return HubNames.IsCommit(commit)
                ? (settings.Secret.Refuse(commit, "the name of a commit"), files)
                : throw json.Error($"sha is '{commit}', which is no commit.");
        }
        catch (InvalidDataException e)
        {
            throw new HubException($"{settings.Endpoint.Host} does not answer as a hub does. {e.Message}", e);
        }
    }

    public Uri AddressOf(string commit, string file) =>
        connection.AddressOf($"{id.WebPath}/resolve/{commit}/{string.Join('/', file.Split('/').Select(Uri.EscapeDataString))}");

    /// <summary>Returns hash and size of a file as the hub itself states them, not the store to which it redirects.</summary>
    public async Task<HubFileInfo> DescribeAsync(string commit, string file, long maxBytes, CancellationToken cancellationToken)
    {
        using HttpResponseMessage response = await connection
            .SendAsync(HttpMethod.Head, AddressOf(commit, file), null, 0, stopAtOtherHost: true, cancellationToken).ConfigureAwait(false);
        bool isElsewhere = (int)response.StatusCode is >= 300 and < 400;
        if (!isElsewhere)
        {
            RequireSuccess(response, $"'{file}' of '{id}'");
        }

        if (Header(response, "X-Repo-Commit") is { } actual && actual != commit)
        {
            // A header is shown only if it has the form of a commit: the hub could send the token back in it.
            throw new HubException(
                $"The hub answers for {(HubNames.IsCommit(actual) ? $"commit {actual}" : "no commit")} of '{id}' when asked for {commit}.");
        }

        string? validator = response.Headers.ETag is { IsWeak: false } etag ? etag.Tag : null;
        string? hash = Unquote(Header(response, "X-Linked-Etag") ?? Header(response, "ETag"));
        if (hash is null || !(HubNames.IsSha256(hash) || HubNames.IsCommit(hash)))
        {
            throw new HubException(
                $"The hub states no hash for '{file}' of '{id}' (ETag: {(hash is null ? "none" : "not a hash")}), so it could not be "
                + "checked. A proxy may have removed it; download the files by hand and pass their folder.");
        }

        settings.Secret.Refuse(hash, "the hash of a file");
        string? linked = Header(response, "X-Linked-Size");
        long? size = linked is null ? (isElsewhere ? null : response.Content.Headers.ContentLength)
            : long.TryParse(linked, NumberStyles.None, CultureInfo.InvariantCulture, out long value) ? value : null;
        return size switch
        {
            null => throw new HubException($"The hub states no size for '{file}' of '{id}'."),
            _ when size > maxBytes => throw new HubException(
                $"'{file}' of '{id}' has {size} bytes; at most {maxBytes} are expected of such a file. It was not downloaded."),
            _ => new HubFileInfo(file, hash, size.Value, isElsewhere ? null : validator),
        };
    }

    /// <summary>Throws an explanation if the hub refused the request: a transient one if another attempt can succeed.</summary>
    public void RequireSuccess(HttpResponseMessage response, string what)
    {
        if (response.IsSuccessStatusCode)
        {
            return;
        }

        int code = (int)response.StatusCode;
        string host = response.RequestMessage?.RequestUri?.Host ?? settings.Endpoint.Host;
        string terms = $"{settings.Endpoint.AbsoluteUri.TrimEnd('/')}/{id.WebPath}";
        string token = settings.Token is null
            ? "no token is set: set HF_TOKEN"
            : "the token that is set may not read it: set HF_TOKEN to one that may";
        throw (response.StatusCode, Header(response, "X-Error-Code")) switch
        {
            // A store refuses when the address from the hub's redirect has expired. The next attempt gets a new address.
            _ when code is 408 or 429 or >= 500 || !connection.IsHub(response.RequestMessage?.RequestUri) =>
                new HubTransientException($"{host} answers {code} for {what}.", retryAfter: RetryAfter(response.Headers.RetryAfter)),
            (HttpStatusCode.NotFound, "RevisionNotFound") =>
                new HubException($"'{id}' has no revision '{settings.Revision}' on {host}. Name a branch, tag or commit that it has."),
            (HttpStatusCode.NotFound, _) =>
                new HubException(
                    $"{host} does not have {what} (404). Check the spelling of the id, and its revision '{settings.Revision}'."),
            (HttpStatusCode.Unauthorized, _) =>
                new HubException(
                    $"{host} refuses {what} (401): it does not exist, or is private and {token}. Check the spelling of the id."),
            (HttpStatusCode.Forbidden, _) =>
                new HubException($"{host} refuses {what} (403): accept the {id.Kind}'s terms at {terms} while logged in; {token}."),
            _ => new HubException($"{host} answers {code} for {what}, which is not how a hub answers. Check HF_ENDPOINT and the proxy."),
        };
    }

    /// <summary>Returns the wait that a server asks for; null if it asks for none.</summary>
    public static TimeSpan? RetryAfter(RetryConditionHeaderValue? header) =>
        header?.Delta is { } wait && wait >= TimeSpan.Zero ? wait : null;

    private static string? Header(HttpResponseMessage response, string name) =>
        response.Headers.NonValidated.TryGetValues(name, out HeaderStringValues values) ? values.ToString() : null;

    private static string? Unquote(string? tag) => tag?.Replace("W/", "", StringComparison.Ordinal).Trim('"');
}

/// <summary>The hub's description of a file.</summary>
/// <param name="Name">The path of the file in the repository.</param>
/// <param name="Hash">The SHA-256 of the content (64 digits) or git's SHA-1 (40 digits). It is also the name in the cache.</param>
/// <param name="Size">The size in bytes.</param>
/// <param name="Validator">The ETag of the requested address, for If-Range; null if the content is at another address.</param>
internal sealed record HubFileInfo(string Name, string Hash, long Size, string? Validator);

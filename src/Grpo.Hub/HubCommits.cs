using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Grpo.Hub;

/// <summary>The state of a file at the hub before a commit.</summary>
/// <param name="File">The file on this machine.</param>
/// <param name="IsLarge">True if the content goes to the store of large files and not into the commit.</param>
/// <param name="IsThere">True if the newest commit of the branch holds this content already.</param>
internal sealed record FileState(LocalFile File, bool IsLarge, bool IsThere);

/// <summary>The requests of an upload to the hub itself: repository, kinds of files, commit.</summary>
internal sealed partial class HubCommits(HubConnection connection, HubAnswers answers, HubRepositoryId id)
{
    // The hub itself asks for files above 10 MB in the store. A hub that asks otherwise would have the memory of this machine filled.
    private const long MaxRegularBytes = 32L * 1_048_576;
    private const long MaxCommitBytes = 128L * 1_048_576;
    private const int FilesPerQuestion = 256;

    private readonly HubSettings _settings = connection.Settings;

    /// <summary>Creates the repository. An existing one is kept.</summary>
    /// <returns>A refusal that does not matter if the repository exists; null if it was created or exists.</returns>
    public async Task<HubException?> CreateAsync(bool isPrivate, CancellationToken cancellationToken)
    {
        string[] parts = id.ToString().Split('/');
        byte[] json = HubWriting.Json(writer =>
        {
            writer.WriteString("name", parts[1]);
            writer.WriteString("organization", parts[0]);
            writer.WriteString("type", id.Kind);
            if (isPrivate)
            {
                writer.WriteBoolean("private", true); // otherwise the account's own default
            }
        });
        string what = $"the creation of '{id}'";
        using HttpResponseMessage response = await connection.SendAsync(
            UploadContents.Bytes(json, "application/json"), connection.AddressOf("api/repos/create"), cancellationToken)
                .ConfigureAwait(false);
        if ((int)response.StatusCode == 409)
        {
            return null;
        }

        try
        {
            await answers.RequireSuccessAsync(response, what, cancellationToken).ConfigureAwait(false);
            await answers.ReadAsync(response, what, static json => json.Root.ValueKind, cancellationToken).ConfigureAwait(false);
            return null;
        }
        catch (HubException e) when ((int)response.StatusCode == 403)
        {
            return e; // a token may be allowed to write to a repository and not to create one
        }
    }

    /// <summary>Throws if the repository is not private.</summary>
    public async Task RequirePrivateAsync(CancellationToken cancellationToken)
    {
        string what = $"the settings of '{id}'";
        using HttpResponseMessage response = await connection.SendAsync(
            HttpMethod.Get, connection.AddressOf(id.ApiPath), null, 0, stopAtOtherHost: false, cancellationToken).ConfigureAwait(false);
        await answers.RequireSuccessAsync(response, what, cancellationToken).ConfigureAwait(false);
        bool isPrivate = await answers.ReadAsync(
            response,
            what,
            static json => json.Root.TryGetProperty("private", out JsonElement value) && value.ValueKind == JsonValueKind.True,
            cancellationToken).ConfigureAwait(false);
        if (!isPrivate)
        {
            throw new HubException(
                $"'{id}' exists and is public, but the upload asks for a private repository. No file was sent. Make it private on its "
                + "page, choose another name, or leave the wish out.");
        }
    }

    /// <summary>Asks the hub where each file goes, and which ones it has.</summary>
    /// <param name="files">The files.</param>
    /// <param name="forPullRequest">True if a pull request follows, which needs no right to write to the branch.</param>
    /// <param name="cancellationToken">Cancels the request.</param>
    public async Task<IReadOnlyList<FileState>> DescribeAsync(
        IReadOnlyList<LocalFile> files, bool forPullRequest, CancellationToken cancellationToken)
    {
        var states = new List<FileState>(files.Count);
        foreach (LocalFile[] chunk in files.Chunk(FilesPerQuestion))
        {
            byte[] json = HubWriting.Json(writer =>
            {
                writer.WriteStartArray("files");
                foreach (LocalFile file in chunk)
                {
                    writer.WriteStartObject();
                    writer.WriteString("path", file.Path);
                    writer.WriteBase64String("sample", file.Sample);
                    writer.WriteNumber("size", file.Size);
                    writer.WriteEndObject();
                }

                writer.WriteEndArray();
            });
            states.AddRange(await answers.AskAsync(
                UploadContents.Bytes(json, "application/json"),
                $"{id.ApiPath}/preupload/{Uri.EscapeDataString(_settings.Revision)}{Query(forPullRequest)}",
                $"the list of files for '{id}'",
                answer => Read(answer, chunk),
                cancellationToken).ConfigureAwait(false));
        }

        if (states.Where(state => state is { IsLarge: false, IsThere: false }).Sum(state => state.File.Size) > MaxCommitBytes)
        {
            throw new HubException(
                $"The hub asks for more than {MaxCommitBytes} bytes of small files in one commit. Exclude files, or send them in several "
                + "uploads.");
        }

        return states;
    }

    /// <summary>Builds the body of a commit. Small files are read, and refused if they have changed.</summary>
    public async Task<byte[]> BuildAsync(
        IReadOnlyList<FileState> changed, string message, string parent, CancellationToken cancellationToken)
    {
        using var body = new MemoryStream();
        HubWriting.Line(body, "header", writer =>
        {
            writer.WriteString("summary", message);
            writer.WriteString("description", string.Empty);
            writer.WriteString("parentCommit", parent);
        });
        foreach ((LocalFile file, bool isLarge, _) in changed)
        {
            if (isLarge)
            {
                HubWriting.Line(body, "lfsFile", writer =>
                {
                    writer.WriteString("path", file.Path);
                    writer.WriteString("algo", "sha256");
                    writer.WriteString("oid", file.Sha256);
                    writer.WriteNumber("size", file.Size);
                });
                continue;
            }

            byte[] content = await file.ReadContentAsync(cancellationToken).ConfigureAwait(false);
            RequireNoToken(file, content);
            HubWriting.Line(body, "file", writer =>
            {
                writer.WriteString("path", file.Path);
                writer.WriteString("encoding", "base64");
                writer.WriteBase64String("content", content);
            });
        }

        return body.ToArray();
    }

    /// <summary>Makes the commit and returns its id, with the number of the pull request if one was asked for.</summary>
    public Task<(string Commit, long? PullRequest)> CommitAsync(byte[] body, bool createPullRequest, CancellationToken cancellationToken) =>
        answers.AskAsync(
            UploadContents.Bytes(body, "application/x-ndjson"),
            $"{id.ApiPath}/commit/{Uri.EscapeDataString(_settings.Revision)}{Query(createPullRequest)}",
            $"the commit to '{id}'",
            json => ReadCommit(json, createPullRequest),
            cancellationToken);

    private static string Query(bool isPullRequest) => isPullRequest ? "?create_pr=1" : "";

    private List<FileState> Read(HubJson json, LocalFile[] asked)
    {
        var wanted = asked.ToDictionary(file => file.Path, StringComparer.Ordinal);
        var states = new Dictionary<string, FileState>(StringComparer.Ordinal);
        foreach (JsonElement entry in json.Require(json.Root, "files", JsonValueKind.Array).EnumerateArray())
        {
            string path = json.Text(json.Require(entry, "path", JsonValueKind.String), "path");
            if (!wanted.TryGetValue(path, out LocalFile? file) || states.ContainsKey(path))
            {
                throw json.Error($"It names '{answers.Shorten(path)}', which was not asked for, or twice.");
            }

            if (entry.TryGetProperty("shouldIgnore", out JsonElement ignored) && ignored.ValueKind == JsonValueKind.True)
            {
                throw new HubException(
                    $"The .gitignore of '{id}' leaves out '{path}'. Nothing was sent. Exclude the file from the upload, or change the "
                    + ".gitignore.");
            }

            states[path] = Classify(json, entry, file);
        }

        LocalFile? missing = Array.Find(asked, file => !states.ContainsKey(file.Path));
        if (missing is not null)
        {
            throw json.Error($"It does not say where '{missing.Path}' goes.");
        }

        return [.. asked.Select(file => states[file.Path])];
    }

    private static FileState Classify(HubJson json, JsonElement entry, LocalFile file)
    {
        string mode = json.Text(json.Require(entry, "uploadMode", JsonValueKind.String), "uploadMode");
        bool isLarge = mode switch
        {
            // Stores refuse empty objects.
            "lfs" => file.Size > 0,
            "regular" => false,
            _ => throw json.Error($"'uploadMode' of '{file.Path}' must be 'lfs' or 'regular'."),
        };
        if (!isLarge && file.Size > MaxRegularBytes)
        {
            throw json.Error(
                $"It asks for '{file.Path}', which has {file.Size} bytes, in the commit itself; at most {MaxRegularBytes} are sent there.");
        }

        string? oid = entry.TryGetProperty("oid", out JsonElement value) && value.ValueKind == JsonValueKind.String
            ? value.GetString()
            : null;
        return new FileState(file, isLarge, IsThere: oid == (isLarge ? file.Sha256 : file.GitHash));
    }

    private (string Commit, long? PullRequest) ReadCommit(HubJson json, bool isPullRequest)
    {
        string commit = json.Text(json.Require(json.Root, "commitOid", JsonValueKind.String), "commitOid");
        if (!HubNames.IsCommit(commit))
        {
            throw json.Error("'commitOid' is no commit.");
        }

        _settings.Secret.Refuse(commit, "the name of a commit");
        if (json.Root.TryGetProperty("success", out JsonElement success) && success.ValueKind != JsonValueKind.True)
        {
            throw json.Error("It names a commit, and that it did not succeed.");
        }

        string url = json.Text(json.Require(json.Root, "commitUrl", JsonValueKind.String), "commitUrl");
        if (!url.EndsWith($"{id.WebPath}/commit/{commit}", StringComparison.Ordinal))
        {
            throw json.Error($"'commitUrl' is not the address of the commit {commit} of '{id}'.");
        }

        if (!isPullRequest)
        {
            return (commit, null);
        }

        string page = json.Text(json.Require(json.Root, "pullRequestUrl", JsonValueKind.String), "pullRequestUrl");
        return PullRequest().Match(page) is { Success: true } match
            ? (commit, long.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture))
            : throw json.Error("'pullRequestUrl' is not the address of a pull request.");
    }

    // A token in a file would be published, and the hub would revoke it at best.
    private void RequireNoToken(LocalFile file, byte[] content)
    {
        if (_settings.Token is { Length: >= HubSecret.MinLength } token && content.AsSpan().IndexOf(Encoding.UTF8.GetBytes(token)) >= 0)
        {
            throw new HubException($"'{file.Path}' holds the access token. Nothing was committed. Remove it from the file.");
        }
    }

    [GeneratedRegex(@"/discussions/([0-9]{1,9})\z", RegexOptions.NonBacktracking)]
    private static partial Regex PullRequest();
}

/// <summary>Writes the JSON of an upload's requests, without reflection.</summary>
internal static class HubWriting
{
    /// <summary>Writes an object.</summary>
    public static byte[] Json(Action<Utf8JsonWriter> write)
    {
        using var stream = new MemoryStream();
        Write(stream, write);
        return stream.ToArray();
    }

    /// <summary>Appends a line of a commit: an object with a key and a value.</summary>
    public static void Line(Stream stream, string key, Action<Utf8JsonWriter> write)
    {
        Write(stream, writer =>
        {
            writer.WriteString("key", key);
            writer.WriteStartObject("value");
            write(writer);
            writer.WriteEndObject();
        });
        stream.WriteByte((byte)'\n');
    }

    private static void Write(Stream stream, Action<Utf8JsonWriter> write)
    {
        using var writer = new Utf8JsonWriter(stream);
        writer.WriteStartObject();
        write(writer);
        writer.WriteEndObject();
    }
}

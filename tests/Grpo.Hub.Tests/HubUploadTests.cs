using System.Text;
using System.Text.Json;
using Grpo.Testing;

namespace Grpo.Hub.Tests;

/// <summary>Uploads to an honest hub.</summary>
[Collection(TimedHub.Name)]
public sealed class HubUploadTests : IDisposable
{
    private readonly UploadHub _server = new();
    private readonly TemporaryFolder _folder = UploadHub.Model();

    public void Dispose()
    {
        _server.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public async Task SendAsync_commits_every_file_of_the_folder()
    {
        HubCommit commit = await SendAsync();

        _server.AssertNewestIs(_folder);
        Assert.Equal(_server.Ids[1], commit.Commit);
        Assert.Equal(new Uri(_server.Hub.Address, $"owner/tiny/commit/{commit.Commit}"), commit.Address);
        Assert.Null(commit.PullRequest);
        Assert.Equal(["README.md", "config.json", "empty.txt", "model.safetensors", "sub/tokenizer.json"], commit.Changed);
        Assert.Equal(2, _server.Commits.Count);
    }

    [Fact]
    public async Task SendAsync_follows_the_order_of_the_protocol()
    {
        await SendAsync();

        Assert.Equal(
            [
                "POST /api/repos/create", "GET /api/models/owner/tiny/revision/main", "GET /api/models/owner/tiny/revision/main",
                "POST /api/models/owner/tiny/preupload/main", "POST /owner/tiny.git/info/lfs/objects/batch", "POST /complete",
                "POST /verify", "POST /owner/tiny.git/info/lfs/objects/batch", "POST /verify", "POST /api/models/owner/tiny/commit/main",
            ],
            _server.Hub.Requests.Where(request => request.Method != "HEAD").Select(request => $"{request.Method} {request.Path}"));
        // 250,000 bytes in parts of 100,000, and 50,000 bytes in one piece.
        Assert.Equal([100_000, 100_000, 50_000, 50_000], _server.Store.Requests.Select(request => request.Body.Length));
    }

    [Fact]
    public async Task SendAsync_writes_the_commit_as_lines_of_json()
    {
        await SendAsync();

        HubRequest request = Assert.Single(
            _server.Hub.Requests, request => request.Path.EndsWith("/commit/main", StringComparison.Ordinal));
        Assert.Equal("application/x-ndjson", request.Header("Content-Type"));
        JsonElement[] lines =
        [
            .. Encoding.UTF8.GetString(request.Body).TrimEnd('\n').Split('\n').Select(line => JsonDocument.Parse(line).RootElement),
        ];
        Assert.Equal(["header", "file", "file", "file", "lfsFile", "lfsFile"], lines.Select(line => line.GetProperty("key").GetString()));
        JsonElement header = lines[0].GetProperty("value"), readme = lines[1].GetProperty("value"), weights = lines[4].GetProperty("value");
        Assert.Equal(LoopbackHub.Commit, header.GetProperty("parentCommit").GetString());
        Assert.Equal("Upload a model trained with Grpo", header.GetProperty("summary").GetString());
        Assert.Equal("base64", readme.GetProperty("encoding").GetString());
        Assert.Equal("# tiny"u8.ToArray(), readme.GetProperty("content").GetBytesFromBase64());
        Assert.Equal("sha256", weights.GetProperty("algo").GetString());
        Assert.Equal(250_000, weights.GetProperty("size").GetInt32());
        Assert.Equal(UploadHub.Sha256(LoopbackHub.Bytes(250_000, seed: 1)), weights.GetProperty("oid").GetString());
    }

    [Fact]
    public async Task SendAsync_gives_the_token_to_the_hub_only()
    {
        await SendAsync();

        Assert.All(_server.Hub.Requests, request => Assert.Equal($"Bearer {UploadHub.Token}", request.Header("Authorization")));
        Assert.All(_server.Store.Requests, request => Assert.Null(request.Header("Authorization")));
        Assert.NotEmpty(_server.Store.Requests);
    }

    [Fact]
    public async Task SendAsync_commits_nothing_when_nothing_changed()
    {
        HubCommit first = await SendAsync();
        int stored = _server.Store.Requests.Count;

        HubCommit second = await SendAsync();

        Assert.Empty(second.Changed);
        Assert.Equal(first.Commit, second.Commit);
        Assert.Equal(2, _server.Commits.Count);
        Assert.Equal(stored, _server.Store.Requests.Count);
    }

    [Fact]
    public async Task SendAsync_sends_only_what_changed_and_keeps_the_rest()
    {
        _server.Exists = true;
        _server.Commits[0]["notes.txt"] = "of somebody else"u8.ToArray();
        await SendAsync();
        File.WriteAllText(_folder["README.md"], "# tiny, again");

        HubCommit commit = await SendAsync();

        Assert.Equal(["README.md"], commit.Changed);
        Assert.Equal("# tiny, again"u8.ToArray(), _server.Newest["README.md"]);
        Assert.Equal("of somebody else"u8.ToArray(), _server.Newest["notes.txt"]);
        Assert.Equal(4, _server.Store.Requests.Count); // those of the first call
    }

    [Fact]
    public async Task SendAsync_creates_a_private_repository()
    {
        await SendAsync(options => options.Private = true);

        Assert.True(_server.IsPrivate);
        Assert.Equal(2, _server.Commits.Count);
    }

    [Fact]
    public async Task SendAsync_sends_no_file_when_the_repository_is_public()
    {
        _server.Exists = true;

        HubException failure = await Assert.ThrowsAsync<HubException>(() => SendAsync(options => options.Private = true));

        Assert.Contains("'owner/tiny' exists and is public, but the upload asks for a private", failure.Message, StringComparison.Ordinal);
        Assert.Empty(_server.Store.Requests);
        Assert.DoesNotContain(_server.Hub.Requests, request => request.Path.Contains("preupload", StringComparison.Ordinal));
    }

    [Fact]
    public async Task SendAsync_opens_a_pull_request()
    {
        HubCommit commit = await SendAsync(options => options.CreatePullRequest = true);

        Assert.Equal(new Uri(_server.Hub.Address, "owner/tiny/discussions/3"), commit.PullRequest);
        Assert.Contains(_server.Hub.Requests, request => request.Query == "create_pr=1");
    }

    // The hub checks the right to write to the branch that a request names, unless it says that a pull request follows.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task SendAsync_needs_no_right_to_the_branch_for_a_pull_request(bool isPullRequest)
    {
        await SendAsync(options => options.CreatePullRequest = isPullRequest);

        HubRequest question = Assert.Single(
            _server.Hub.Requests, request => request.Path.EndsWith("/preupload/main", StringComparison.Ordinal));
        Assert.Equal(isPullRequest ? "create_pr=1" : "", question.Query);
        Assert.All(
            _server.Hub.Requests.Where(request => request.Path.EndsWith("/objects/batch", StringComparison.Ordinal)),
            request => Assert.NotEqual(isPullRequest, JsonDocument.Parse(request.Body).RootElement.TryGetProperty("ref", out _)));
    }

    [Fact]
    public async Task SendAsync_refuses_another_parent_before_it_sends()
    {
        string other = new('a', 40);

        HubException failure = await Assert.ThrowsAsync<HubException>(() => SendAsync(options => options.ParentCommit = other));

        Assert.Contains($"is {LoopbackHub.Commit}, not {other}. Nothing was committed.", failure.Message, StringComparison.Ordinal);
        Assert.Empty(_server.Store.Requests);
        await SendAsync(options => options.ParentCommit = LoopbackHub.Commit);
        _server.AssertNewestIs(_folder);
    }

    [Fact]
    public async Task SendAsync_reports_the_bytes_of_each_file()
    {
        var seen = new List<HubUploadProgress>();

        await SendAsync(options => options.Progress = new Recorder(seen));

        Assert.All(seen, step => Assert.Equal(5, step.FileCount));
        foreach ((string path, byte[] content) in UploadHub.FilesOf(_folder))
        {
            HubUploadProgress last = seen.Last(step => step.File == path);
            Assert.Equal((content.Length, content.Length), (last.BytesSent, last.BytesTotal));
        }
    }

    [Fact]
    public async Task SendAsync_uploads_equal_files_once()
    {
        File.Copy(_folder["model.safetensors"], _folder["copy.safetensors"]);

        await SendAsync();

        _server.AssertNewestIs(_folder);
        Assert.Equal(4, _server.Store.Requests.Count);
    }

    [Fact]
    public async Task SendAsync_needs_the_network_an_id_and_a_branch()
    {
        Assert.Contains(
            "An upload needs the network",
            (await Assert.ThrowsAsync<HubException>(() => SendAsync(options => options.Connection.Offline = true))).Message,
            StringComparison.Ordinal);
        Assert.Contains(
            "is a commit, which never changes",
            (await Assert.ThrowsAsync<ArgumentException>(
                () => SendAsync(options => options.Connection.Revision = LoopbackHub.Commit))).Message,
            StringComparison.Ordinal);
        await Assert.ThrowsAsync<ArgumentException>(() => SendAsync(options => options.ParentCommit = "main"));
        await Assert.ThrowsAsync<ArgumentException>(() => SendAsync(options => options.CommitMessage = "two\nlines"));
        await Assert.ThrowsAsync<ArgumentException>(() => HubUpload.SendAsync(_folder.Path, "no-owner", _server.Options()));
        await Assert.ThrowsAsync<DirectoryNotFoundException>(() => HubUpload.SendAsync(_folder["none"], UploadHub.Id, _server.Options()));
        Assert.Empty(_server.Hub.Requests);
    }

    private Task<HubCommit> SendAsync(Action<HubUploadOptions>? configure = null) =>
        HubUpload.SendAsync(_folder.Path, UploadHub.Id, _server.Options(configure));

    private sealed class Recorder(List<HubUploadProgress> seen) : IProgress<HubUploadProgress>
    {
        public void Report(HubUploadProgress value)
        {
            lock (seen)
            {
                seen.Add(value);
            }
        }
    }
}

using System.Text;
using Grpo.Testing;

namespace Grpo.Hub.Tests;

/// <summary>Uploads to a hub that answers what is not so, or asks for what it should not get.</summary>
[Collection(TimedHub.Name)]
public sealed class HubUploadLieTests : IDisposable
{
    private static readonly string Oid = UploadHub.Sha256(LoopbackHub.Bytes(250_000, seed: 1));
    private static readonly string OtherOid = new('0', 64);

    private readonly UploadHub _server = new();
    private readonly TemporaryFolder _folder = UploadHub.Model();
    private readonly ListLogger _log = new();

    public void Dispose()
    {
        _server.Dispose();
        _folder.Dispose();
    }

    [Theory]
    [InlineData("/api/repos/create")]
    [InlineData("/api/models/owner/tiny/revision/main")]
    [InlineData("/api/models/owner/tiny/preupload/main")]
    [InlineData("/owner/tiny.git/info/lfs/objects/batch")]
    [InlineData("/api/models/owner/tiny/commit/main")]
    public async Task SendAsync_recognizes_a_page_that_is_no_hub(string path)
    {
        Replace(path, "<html>Please log in to the network</html>");

        Assert.Contains("127.0.0.1 does not answer as a hub does.", await FailAsync(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/api/repos/create", 4_194_304)]
    [InlineData("/api/models/owner/tiny/preupload/main", 4_194_304)]
    [InlineData("/owner/tiny.git/info/lfs/objects/batch", 4_194_304)]
    [InlineData("/api/models/owner/tiny/commit/main", 4_194_304)]
    public async Task SendAsync_stops_reading_an_endless_answer(string path, int limit)
    {
        _server.Change = (request, reply) =>
            request.Path == path ? reply with { Body = new byte[limit + 1], WithoutLength = true } : null;

        Assert.Contains($"has more than {limit} bytes; the server is not answering as a hub does.", await FailAsync(),
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{\"files\": []}", "It does not say where 'README.md' goes.")]
    [InlineData("{\"files\": 7}", "'files' must be an array but is a number.")]
    [InlineData("{}", "'files' is missing; an array is expected.")]
    [InlineData("{\"files\": [{\"path\": \"/etc/passwd\", \"uploadMode\": \"lfs\"}]}", "It names '/etc/passwd', which was not asked for")]
    [InlineData("{\"files\": [{\"path\": \"README.md\", \"uploadMode\": \"pigeon\"}]}", "must be 'lfs' or 'regular'")]
    [InlineData(
        "{\"files\": [{\"path\": \"README.md\", \"uploadMode\": \"lfs\"}, {\"path\": \"README.md\", \"uploadMode\": \"lfs\"}]}",
        "It names 'README.md', which was not asked for, or twice.")]
    [InlineData(
        "{\"files\": [{\"path\": \"README.md\", \"uploadMode\": \"regular\", \"shouldIgnore\": true}]}",
        "The .gitignore of 'owner/tiny' leaves out 'README.md'.")]
    public async Task SendAsync_refuses_a_wrong_list_of_files(string answer, string expected)
    {
        Replace("/api/models/owner/tiny/preupload/main", answer);

        Assert.Contains(expected, await FailAsync(), StringComparison.Ordinal);
        Assert.Empty(_server.Store.Requests);
    }

    // The hub is asked about 256 files at a time. The limit of 128 MiB holds for all of them: 4 · 30 MiB in the first question, 30 MiB in
    // the second.
    [Fact]
    public async Task SendAsync_limits_the_small_files_of_one_commit()
    {
        for (int i = 0; i < 256; i++)
        {
            File.WriteAllText(_folder[$"b{i}"], "x");
        }

        foreach (string name in (string[])["a1", "a2", "a3", "a4", "z"])
        {
            using FileStream file = File.Create(_folder[name]);
            file.SetLength(30 << 20);
        }

        _server.LargeBytes = int.MaxValue;

        Assert.Contains("more than 134217728 bytes of small files in one commit", await FailAsync(), StringComparison.Ordinal);
        Assert.DoesNotContain(_server.Hub.Requests, request => request.Path.Contains("/commit/", StringComparison.Ordinal));
    }

    [Fact]
    public async Task SendAsync_puts_no_large_file_into_the_commit()
    {
        using (FileStream large = File.OpenWrite(_folder["large.bin"]))
        {
            large.SetLength((32 << 20) + 1);
        }

        _server.LargeBytes = int.MaxValue;

        Assert.Contains(
            "It asks for 'large.bin', which has 33554433 bytes, in the commit itself; at most 33554432 are sent there.", await FailAsync(),
            StringComparison.Ordinal);
    }

    public static TheoryData<string, string> WrongBatches => new()
    {
        { "{}", "'objects' is missing" },
        { "{\"objects\": []}", "It describes 0 files; 1 was asked for." },
        { One(OtherOid, 250_000, ""), "It describes another file than 'model.safetensors': hash or size differ." },
        { One(Oid, 250_001, ""), "It describes another file than 'model.safetensors': hash or size differ." },
        { One(Oid, 250_000, ", \"error\": {\"code\": 422, \"message\": \"quota\"}"), "does not take 'model.safetensors': \"quota\"." },
        { One(Oid, 250_000, ", \"actions\": 7"), "'actions' must be an object but is a number." },
        { One(Oid, 250_000, ", \"actions\": {\"upload\": []}"), "An action must be an object but is an array." },
        { One(Oid, 250_000, Upload("http://store.example/x")), "wants 'http://store.example' to get the file, which is not https." },
        { One(Oid, 250_000, Upload("ftp://store.example/x")), "wants 'ftp://store.example' to get the file, which is not https." },
        { One(Oid, 250_000, Upload("file:///etc/passwd")), "to get the file, which is not https." },
        { One(Oid, 250_000, Upload("https://user:password@store.example/x")), "It names an upload address that is none." },
        { One(Oid, 250_000, Upload("https://store.example/x", "\"chunk_size\": \"0\"")), "'chunk_size' is not a number of bytes." },
        { One(Oid, 250_000, Upload("https://store.example/x", "\"chunk_size\": \"-5\"")), "'chunk_size' is not a number of bytes." },
        { One(Oid, 250_000, Upload("https://store.example/x", "\"chunk_size\": 7")), "A header must be a string but is a number." },
        {
            One(Oid, 250_000, Upload("https://store.example/x", "\"chunk_size\": \"1\"")),
            "It names 0 parts of 1 bytes for a file of 250000 bytes, which takes 250000 (at most 10000)."
        },
        {
            One(Oid, 250_000, Upload("https://store.example/x", "\"chunk_size\": \"200000\", \"1\": \"https://a.example\"")),
            "It names 1 parts of 200000 bytes for a file of 250000 bytes, which takes 2"
        },
        {
            One(Oid, 250_000, InParts("200000", "3", "https://b.example")),
            "The parts must be numbered 1 to 2, each once."
        },
        {
            One(Oid, 250_000, InParts("200000", "01", "https://b.example")),
            "The parts must be numbered 1 to 2, each once."
        },
        {
            One(Oid, 250_000, InParts("200000", "2", "http://b.example")),
            "wants 'http://b.example' to get the file, which is not https."
        },
        { One(Oid, 250_000, Upload("https://store.example/x", "\"x-a\": \"b\\r\\nc: d\"")), "holds what is no header." },
        { "{\"transfer\": \"pigeon\", \"objects\": []}", "'transfer' must be 'basic' or 'multipart'" },
        { "{\"transfer\": \"multipart\", " + One(Oid, 250_000, Upload("https://store.example/x"))[1..], "It names no 'chunk_size'" },
    };

    [Theory]
    [MemberData(nameof(WrongBatches))]
    public async Task SendAsync_refuses_wrong_instructions_for_an_upload(string answer, string expected)
    {
        Replace("/owner/tiny.git/info/lfs/objects/batch", answer);

        Assert.Contains(expected, await FailAsync(), StringComparison.Ordinal);
        Assert.Empty(_server.Store.Requests);
        Assert.Single(_server.Commits);
    }

    [Theory]
    [InlineData("{}", "'commitOid' is missing")]
    [InlineData("{\"commitOid\": \"main\"}", "'commitOid' is no commit.")]
    [InlineData("{\"commitOid\": \"{0}\", \"success\": false}", "It names a commit, and that it did not succeed.")]
    [InlineData("{\"commitOid\": \"{0}\"}", "'commitUrl' is missing")]
    [InlineData("{\"commitOid\": \"{0}\", \"commitUrl\": \"https://x.example/owner/tiny/commit/main\"}", "'commitUrl' is not the")]
    [InlineData("{\"commitOid\": \"{0}\", \"commitUrl\": \"https://x.example/owner/other/commit/{0}\"}", "'commitUrl' is not the")]
    public async Task SendAsync_refuses_a_wrong_answer_to_a_commit(string answer, string expected)
    {
        Replace("/api/models/owner/tiny/commit/main", answer.Replace("{0}", new string('c', 40), StringComparison.Ordinal));

        Assert.Contains(expected, await FailAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task SendAsync_finds_a_commit_that_does_not_exist()
    {
        string none = new('c', 40);
        Replace("/api/models/owner/tiny/commit/main", $$"""
            {"success": true, "commitOid": "{{none}}", "commitUrl": "{{_server.Hub.Address}}owner/tiny/commit/{{none}}"}
            """);

        Assert.Contains(
            $"The hub names the commit {none} of 'owner/tiny', but 'README.md' in it cannot be compared with the folder:",
            await FailAsync(),
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("model.safetensors", "250000 bytes with the hash")]
    [InlineData("config.json", "2 bytes with the hash")]
    public async Task SendAsync_finds_a_commit_that_holds_other_content(string file, string expected)
    {
        _server.Change = (request, reply) =>
        {
            if (request.Path.EndsWith("/commit/main", StringComparison.Ordinal))
            {
                byte[] content = [.. _server.Commits[^1][file]];
                content[0] ^= 1;
                _server.Commits[^1][file] = content;
            }

            return reply;
        };

        string message = await FailAsync();

        Assert.Contains($"holds another '{file}' than the folder: {expected}", message, StringComparison.Ordinal);
        Assert.Contains("Do not use this commit.", message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task SendAsync_believes_no_hub_that_claims_to_have_everything()
    {
        _server.Change = (request, reply) => request.Path.EndsWith("/batch", StringComparison.Ordinal)
            ? LoopbackHub.Json(new { objects = new[] { new { oid = OidOf(request), size = SizeOf(request) } } })
            : null;

        Assert.Contains("LFS pointer pointed to a file that does not exist", await FailAsync(), StringComparison.Ordinal);
        Assert.Single(_server.Commits);
    }

    [Fact]
    public async Task SendAsync_needs_an_etag_for_each_part()
    {
        _server.Change = (request, reply) => request.Method == "PUT" ? reply with { Headers = [] } : null;

        Assert.Contains("states no ETag for part 1 of 'model.safetensors'", await FailAsync(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(307, "http://example.com/x", "redirects to http://example.com, which is not https. Nothing was sent there.")]
    [InlineData(302, "/elsewhere", "redirects an upload with 302, which would lose its content.")]
    [InlineData(308, "{0}api/models/owner/tiny/commit/main", "redirects more than 8 times.")]
    public async Task SendAsync_follows_no_redirect_that_leads_astray(int status, string location, string expected)
    {
        _server.Refuse = request => request.Path.EndsWith("/commit/main", StringComparison.Ordinal)
            ? new HubReply(status)
            {
                Headers = { ["Location"] = location.Replace("{0}", _server.Hub.Address.AbsoluteUri, StringComparison.Ordinal) },
            }
            : null;

        Assert.Contains(expected, await FailAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task SendAsync_drops_the_token_when_the_hub_redirects_to_another_host()
    {
        _server.Refuse = request => request.Path == "/api/repos/create" && request.Header("Host") == _server.Hub.Address.Authority
            ? new HubReply(307) { Headers = { ["Location"] = $"{_server.Store.Address}api/repos/create" } }
            : null;

        await FailAsync();

        Assert.Null(Assert.Single(_server.Store.Requests).Header("Authorization"));
    }

    [Theory]
    [InlineData("x-amz-acl")]
    [InlineData("Authorization")]
    public async Task SendAsync_sends_no_token_that_the_hub_asks_to_send(string header)
    {
        Replace(
            "/owner/tiny.git/info/lfs/objects/batch",
            One(Oid, 250_000, Upload($"{_server.Store.Address}{Oid}", $"\"{header}\": \"Bearer {UploadHub.Token}\"")));

        Assert.Contains("sends the access token back", await FailAsync(), StringComparison.Ordinal);
        Assert.Empty(_server.Store.Requests);
    }

    [Fact]
    public async Task SendAsync_sends_the_headers_of_the_store_and_no_others()
    {
        _server.PartBytes = int.MaxValue;
        _server.Change = (request, reply) => request.Path.EndsWith("/batch", StringComparison.Ordinal)
            ? reply with
            {
                Body = Encoding.UTF8.GetBytes(One(OidOf(request), SizeOf(request), Upload(
                    $"{_server.Store.Address}{OidOf(request)}",
                    """
                    "X-Amz-Acl": "private", "Authorization": "Basic abc", "Host": "evil.example", "Content-Length": "3"
                    """))),
            }
            : null;

        await HubUpload.SendAsync(_folder.Path, UploadHub.Id, _server.Options());

        Assert.Equal(2, _server.Store.Requests.Count);
        Assert.All(_server.Store.Requests, request =>
        {
            Assert.Equal("private", request.Header("X-Amz-Acl"));
            Assert.Equal("Basic abc", request.Header("Authorization"));
            Assert.Equal(_server.Store.Address.Authority, request.Header("Host"));
        });
    }

    [Theory]
    [InlineData("/api/repos/create")]
    [InlineData("/preupload/main")]
    [InlineData("/objects/batch")]
    [InlineData("/commit/main")]
    public async Task SendAsync_shows_no_token_that_the_hub_sends_back(string path)
    {
        foreach (int status in (int[])[200, 400, 403, 409, 503])
        {
            foreach (string token in (string[])[UploadHub.Token, Uri.EscapeDataString(UploadHub.Token.Replace('_', '-'))])
            {
                _server.Exists = path == "/api/repos/create" && status is 200 or 409;
                _server.Refuse = request => request.Path.EndsWith(path, StringComparison.Ordinal)
                    ? UploadHub.Said(status, token) with { Headers = new() { ["X-Error-Message"] = token } }
                    : null;

                HubException? failure = await Record.ExceptionAsync(SendAsync) as HubException;

                Assert.DoesNotContain(UploadHub.Token, failure?.ToString() ?? "", StringComparison.OrdinalIgnoreCase);
                Assert.DoesNotContain('\n', failure?.Message ?? "");
                Assert.Equal(path == "/api/repos/create" && status is 200 or 409, failure is null);
            }
        }

        Assert.DoesNotContain(_log.Messages, message => message.Contains(UploadHub.Token, StringComparison.Ordinal));
    }

    [Fact]
    public async Task SendAsync_publishes_no_file_that_holds_the_token()
    {
        File.WriteAllText(_folder["notes.txt"], $"export HF_TOKEN={UploadHub.Token}\n");

        Assert.Contains("'notes.txt' holds the access token. Nothing was committed.", await FailAsync(), StringComparison.Ordinal);
        Assert.Single(_server.Commits);
    }

    private static string One(string oid, long size, string more) =>
        $$$"""{"objects": [{"oid": "{{{oid}}}", "size": {{{size}}} {{{more}}} }]}""";

    private static string Upload(string href, string header = "") =>
        $$$""", "actions": {"upload": {"href": "{{{href}}}", "header": { {{{header}}} } } }""";

    private static string InParts(string part, string number, string address) => Upload(
        "https://store.example/x", $"\"chunk_size\": \"{part}\", \"1\": \"https://a.example\", \"{number}\": \"{address}\"");

    private static string OidOf(HubRequest request) => Asked(request).GetProperty("oid").GetString()!;

    private static int SizeOf(HubRequest request) => Asked(request).GetProperty("size").GetInt32();

    private static System.Text.Json.JsonElement Asked(HubRequest request) =>
        System.Text.Json.JsonDocument.Parse(request.Body).RootElement.GetProperty("objects")[0];

    private void Replace(string path, string answer) => _server.Change = (request, _) =>
        request.Path == path ? new HubReply(200) { Body = Encoding.UTF8.GetBytes(answer) } : null;

    private Task<HubCommit> SendAsync() =>
        HubUpload.SendAsync(_folder.Path, UploadHub.Id, _server.Options(options => options.Connection.Logger = _log));

    private async Task<string> FailAsync()
    {
        HubException failure = await Assert.ThrowsAsync<HubException>(SendAsync);
        Assert.DoesNotContain(UploadHub.Token, failure.ToString(), StringComparison.Ordinal);
        return failure.Message;
    }
}

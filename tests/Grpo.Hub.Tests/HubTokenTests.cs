using System.Text;
using Grpo.Testing;

namespace Grpo.Hub.Tests;

/// <summary>Hubs that send the access token back, in whatever they can send, and in whatever spelling.</summary>
[Collection(TimedHub.Name)]
public sealed class HubTokenTests : IDisposable
{
    private const string Token = "hf_test+secret/0123456789==";
    private const string Weights = "model.safetensors";
    private static readonly string HexToken = new('c', 40);

    private readonly LoopbackHub _hub = LoopbackHub.WithModel();
    private readonly TemporaryFolder _cache = new();
    private readonly ListLogger _log = new();

    public void Dispose()
    {
        _hub.Dispose();
        _cache.Dispose();
    }

    // A host: letters, digits and hyphens, and in lower case whatever was sent.
    [Theory]
    [InlineData("http://hf-secret-token.example/x")]
    [InlineData("http://HF-SECRET-TOKEN.example/x")]
    [InlineData("http://%68f-secret-token.example/x")]
    [InlineData("https://hf-secret-token.example/x")]
    [InlineData("https://user:hf-secret-token@store.example/x?t=hf-secret-token#hf-secret-token")]
    [InlineData("hf-secret-token://store.example/x")]
    [InlineData("https:s://hf-secret-token/x")]
    [InlineData("//hf-secret-token.example/x")]
    public async Task DownloadAsync_shows_no_token_of_a_redirect(string location)
    {
        Answer(Weights, new HubReply(302) { Headers = { ["Location"] = location } });

        await FailsWithoutTokenAsync("hf-secret-token");
    }

    [Theory]
    [InlineData(503)]
    [InlineData(403)]
    public async Task DownloadAsync_shows_no_token_in_the_host_of_a_store_that_refuses(int status)
    {
        Answer(Weights, new HubReply(302) { Headers = { ["Location"] = "https://hf-secret-token.example/x" } });

        await FailsWithoutTokenAsync("hf-secret-token", new Elsewhere(_ => new HttpResponseMessage((System.Net.HttpStatusCode)status)));
        Assert.NotEmpty(_log.Messages);                                      // it may pass: it was tried again
    }

    [Theory]
    [InlineData("../{0}")]
    [InlineData("{0}\nINFO all is well")]
    [InlineData("a\u001b[31m{0}.safetensors")]
    public async Task DownloadAsync_shows_no_token_in_the_name_of_a_file(string name)
    {
        foreach (string spelling in Spellings(Token))
        {
            _hub.Intercept = _ => LoopbackHub.Json(new
            {
                sha = LoopbackHub.Commit,
                siblings = new[] { new { rfilename = name.Replace("{0}", spelling, StringComparison.Ordinal) } },
            });

            await FailsWithoutTokenAsync(Token);
        }
    }

    [Fact]
    public async Task DownloadAsync_makes_no_file_that_is_named_for_the_token()
    {
        foreach (string spelling in Spellings("hf-secret-token").Where(spelling => !spelling.Contains('%', StringComparison.Ordinal)))
        {
            _hub.Files.Clear();
            _hub.Files[$"main/train-{spelling.Replace('/', '_')}.jsonl"] = "{}"u8.ToArray();
            HubOptions options = Options("hf-secret-token");

            HubException failure = await Assert.ThrowsAsync<HubException>(
                () => HubClient.DownloadDatasetAsync(LoopbackHub.Id, "train", options));

            Assert.Contains("sends the access token back", failure.Message, StringComparison.Ordinal);
            Assert.Empty(Directory.EnumerateFileSystemEntries(_cache.Path));
        }
    }

    [Theory]
    [InlineData("sha")]
    [InlineData("X-Repo-Commit")]
    [InlineData("ETag")]
    [InlineData("X-Linked-Etag")]
    public async Task DownloadAsync_takes_no_token_for_a_commit_or_a_hash(string where)
    {
        _hub.Intercept = request => where == "sha" ? WithTokenForCommit(request)
            : request.Method == "HEAD"
            ? _hub.Honest(request) with { Headers = new() { ["ETag"] = $"\"{LoopbackHub.Commit}\"", [where] = HexToken } }
            : null;

        await FailsWithoutTokenAsync(HexToken);
        Assert.DoesNotContain(
            Directory.EnumerateFileSystemEntries(_cache.Path, "*", SearchOption.AllDirectories),
            path => path.Contains(HexToken, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("{{\"{0}\": nonsense}}")]
    [InlineData("{{\"sha\": \"{0}\", \"siblings\": []}}")]
    [InlineData("{{\"sha\": \"x\", \"{0}\\ud800\": 1}}")]
    [InlineData("{0}")]
    public async Task DownloadAsync_shows_no_token_of_a_body(string body)
    {
        foreach (string spelling in Spellings(Token))
        {
            byte[] content = Encoding.UTF8.GetBytes(string.Format(null, body, spelling));
            _hub.Intercept = _ => new HubReply(200) { Body = content };

            await FailsWithoutTokenAsync(Token);
        }
    }

    [Theory]
    [InlineData("{{\"weight_map\": {{\"{0}\": 7}}}}")]
    [InlineData("{{\"weight_map\": {{\"{0}\": \"../x\"}}}}")]
    [InlineData("{{\"weight_map\": {{\"w\": \"{0}.safetensors\"}}}}")]
    public async Task DownloadAsync_shows_no_token_of_an_index(string index)
    {
        foreach (string spelling in Spellings(Token))
        {
            _hub.Files.Remove(Weights);
            _hub.Files["model.safetensors.index.json"] = Encoding.UTF8.GetBytes(string.Format(null, index, spelling));
            if (Directory.Exists(_cache["models--owner--tiny"]))
            {
                Directory.Delete(_cache["models--owner--tiny"], recursive: true);
            }

            await FailsWithoutTokenAsync(Token);
        }
    }

    [Theory]
    [InlineData("http://127.0.0.1:1/x")]                                     // another port
    [InlineData("http://localhost:{port}/x")]                                // another name of the same machine
    [InlineData("http://127.0.0.1.example:{port}/x")]
    [InlineData("https://127.0.0.1:{port}@store.example/x")]
    [InlineData("https://127.0.0.1:{port}/x")]                               // another scheme
    public async Task SendAsync_gives_the_token_to_no_other_address(string location)
    {
        string address = location.Replace(
            "{port}", _hub.Address.Port.ToString(System.Globalization.CultureInfo.InvariantCulture), StringComparison.Ordinal);
        var elsewhere = new Elsewhere(_ => throw new HttpRequestException(HttpRequestError.ConnectionError));
        HubOptions options = Options(Token, elsewhere);
        Answer(Weights, new HubReply(302) { Headers = { ["Location"] = address } });

        await Assert.ThrowsAsync<HubException>(() => HubClient.DownloadAsync(LoopbackHub.Id, options));

        Assert.All(
            elsewhere.Seen,
            seen => Assert.Equal(seen.StartsWith(_hub.Address.AbsoluteUri, StringComparison.Ordinal), elsewhere.Trusted.Contains(seen)));
        Assert.NotEmpty(elsewhere.Trusted);
    }

    [Theory]
    [InlineData("https:user:hf_secret_token@mirror.example")]
    [InlineData("user hf_secret_token@mirror.example")]
    public void Resolve_shows_no_password_of_an_address_that_is_none(string endpoint)
    {
        HubException failure = Assert.Throws<HubException>(
            () => HubSettings.Resolve(new HubOptions(), name => name == "HF_ENDPOINT" ? endpoint : null, "/home/nobody"));

        Assert.DoesNotContain("secret", failure.ToString(), StringComparison.Ordinal);
    }

    // Honest but for the commit, so that nothing else stops the download.
    private HubReply WithTokenForCommit(HubRequest request)
    {
        if (request.Path.StartsWith("/api/", StringComparison.Ordinal))
        {
            return LoopbackHub.Json(new { sha = HexToken, siblings = _hub.Files.Keys.Select(name => new { rfilename = name }) });
        }

        HubReply reply = _hub.Honest(request with { Path = request.Path.Replace(HexToken, LoopbackHub.Commit, StringComparison.Ordinal) });
        reply.Headers["X-Repo-Commit"] = HexToken;
        return reply;
    }

    private static IEnumerable<string> Spellings(string token)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(token);
        yield return token;
        yield return token.ToUpperInvariant();
        yield return Uri.EscapeDataString(token);
        yield return Uri.EscapeDataString(Uri.EscapeDataString(token));
        yield return string.Concat(bytes.Select(value => $"%{value:x2}"));
        yield return Convert.ToHexStringLower(bytes);
        foreach (string before in (string[])["", ":", "u:", "Bearer "])
        {
            string base64 = Convert.ToBase64String(Encoding.UTF8.GetBytes(before + token));
            yield return base64;
            yield return base64.TrimEnd('=').Replace('+', '-').Replace('/', '_');
        }
    }

    private async Task FailsWithoutTokenAsync(string token, Elsewhere? handler = null)
    {
        using Elsewhere elsewhere = handler ?? new Elsewhere(request => throw new HttpRequestException(
            HttpRequestError.NameResolutionError, $"Name or service not known ({request.RequestUri!.Host}:443)"));
        HubOptions options = Options(token, elsewhere);

        HubException failure = await Assert.ThrowsAsync<HubException>(() => HubClient.DownloadAsync(LoopbackHub.Id, options));

        foreach (string text in (string[])[failure.ToString(), .. _log.Messages])
        {
            Assert.All(Spellings(token), spelling => Assert.DoesNotContain(spelling, text, StringComparison.OrdinalIgnoreCase));
        }

        Assert.DoesNotContain('\n', failure.Message);
    }

    private HubOptions Options(string token, HttpMessageHandler? handler = null)
    {
        HubOptions options = _hub.Options(_cache);
        (options.Token, options.Logger, options.MaxAttempts, options.MessageHandler) = (token, _log, 2, handler);
        return options;
    }

    private void Answer(string file, HubReply reply) => _hub.Intercept = request =>
        request.Method == "GET" && request.Path.EndsWith("/" + file, StringComparison.Ordinal) ? reply : null;

    /// <summary>Sends requests to the hub on this machine, and answers those to any other host by itself.</summary>
    private sealed class Elsewhere(Func<HttpRequestMessage, HttpResponseMessage> answer)
        : DelegatingHandler(new SocketsHttpHandler { AllowAutoRedirect = false })
    {
        private int? _hubPort;

        public List<string> Seen { get; } = [];

        public HashSet<string> Trusted { get; } = [];

        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            Uri address = request.RequestUri!;
            _hubPort ??= address.Port;                                       // the first request goes to the hub
            Seen.Add(address.AbsoluteUri);
            if (request.Headers.Authorization is not null)
            {
                Trusted.Add(address.AbsoluteUri);
            }

            if (address is { Scheme: "http", Host: "127.0.0.1" } && address.Port == _hubPort)
            {
                return base.SendAsync(request, cancellationToken);
            }

            HttpResponseMessage response = answer(request);
            response.RequestMessage = request;
            return Task.FromResult(response);
        }
    }
}

using System.Globalization;
using Grpo.Testing;

namespace Grpo.Hub.Tests;

/// <summary>A hub that cuts, stalls, refuses and lies.</summary>
[Collection(TimedHub.Name)]
public sealed class HubFailureTests : IDisposable
{
    private const string Weights = "model.safetensors";
    private readonly LoopbackHub _hub = LoopbackHub.WithModel();
    private readonly TemporaryFolder _cache = new();

    public void Dispose()
    {
        _hub.Dispose();
        _cache.Dispose();
    }

    [Fact]
    public async Task DownloadAsync_continues_where_the_connection_was_cut()
    {
        Answer("GET", Weights, (reply, number) => number <= 2 ? reply with { CutAfter = 100_000 } : reply);

        string folder = await DownloadAsync();

        Assert.Equal(_hub.Files[Weights], File.ReadAllBytes(Path.Combine(folder, Weights)));
        Assert.Equal([null, "bytes=100000-", "bytes=200000-"], _hub.Gets(Weights).Select(request => request.Header("Range")));
        string validator = $"\"{LoopbackHub.HashOf(Weights, _hub.Files[Weights])}\"";
        Assert.Equal([null, validator, validator], _hub.Gets(Weights).Select(request => request.Header("If-Range")));
    }

    [Fact]
    public async Task DownloadAsync_starts_again_when_the_content_changed_under_the_cut()
    {
        // The first answer is of another file with another ETag; the honest one then ignores the range.
        Answer("GET", Weights, (reply, number) => number == 1
            ? reply with { CutAfter = 100_000, Body = new byte[300_000], Headers = new() { ["ETag"] = "\"stale\"" } }
            : reply);

        string folder = await DownloadAsync();

        Assert.Equal(_hub.Files[Weights], File.ReadAllBytes(Path.Combine(folder, Weights)));
        Assert.Equal("\"stale\"", _hub.Gets(Weights).Last().Header("If-Range"));
    }

    [Fact]
    public async Task DownloadAsync_continues_what_an_earlier_run_left_also_behind_a_redirect()
    {
        using LoopbackHub store = LoopbackHub.WithModel();
        _hub.Store = store;
        LeavePart(_hub.Files[Weights][..250_000]);

        string folder = await DownloadAsync();

        Assert.Equal(_hub.Files[Weights], File.ReadAllBytes(Path.Combine(folder, Weights)));
        Assert.Equal("bytes=250000-", Assert.Single(store.Requests).Header("Range"));
    }

    [Fact]
    public async Task DownloadAsync_starts_again_when_what_an_earlier_run_left_is_damaged()
    {
        LeavePart(new byte[250_000]);

        string folder = await DownloadAsync();

        Assert.Equal(_hub.Files[Weights], File.ReadAllBytes(Path.Combine(folder, Weights)));
        Assert.Equal(["bytes=250000-", null], _hub.Gets(Weights).Select(request => request.Header("Range")));
    }

    [Fact]
    public async Task DownloadAsync_keeps_what_arrived_when_every_attempt_is_cut()
    {
        Answer("GET", Weights, (reply, _) => reply with { CutAfter = 1000 });

        string message = await FailAsync(options => options.MaxAttempts = 3);

        Assert.Contains("'model.safetensors' of 'owner/tiny' was not completed.", message, StringComparison.Ordinal);
        Assert.Contains("All 3 attempts failed. What has arrived is kept", message, StringComparison.Ordinal);
        Assert.Equal(3000, new FileInfo(PartPath()).Length);
    }

    [Fact]
    public async Task DownloadAsync_gives_up_a_connection_that_stalls_and_continues_on_another()
    {
        Answer("GET", Weights, (reply, number) => number == 1 ? reply with { StallAfter = 100_000 } : reply);

        string folder = await DownloadAsync(options => options.StallTimeout = TimeSpan.FromSeconds(1));

        Assert.Equal(_hub.Files[Weights], File.ReadAllBytes(Path.Combine(folder, Weights)));
        Assert.Equal([null, "bytes=100000-"], _hub.Gets(Weights).Select(request => request.Header("Range")));
    }

    [Fact]
    public async Task DownloadAsync_says_for_how_long_nothing_came()
    {
        Answer("GET", Weights, (reply, _) => reply with { StallAfter = 0 });

        string message = await FailAsync(options => (options.StallTimeout, options.MaxAttempts) = (TimeSpan.FromSeconds(5), 1));

        Assert.Contains("Nothing came for 5 seconds ('model.safetensors').", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(
        401, "",
        "127.0.0.1 refuses the list of files of 'owner/tiny' (401): it does not exist, or is private and no token is set: set HF_TOKEN.")]
    [InlineData(403, "GatedRepo", "(403): accept the model's terms at http://127.0.0.1:")]
    [InlineData(
        404, "RepoNotFound",
        "127.0.0.1 does not have the list of files of 'owner/tiny' (404). Check the spelling of the id, and its revision 'main'.")]
    [InlineData(404, "RevisionNotFound", "'owner/tiny' has no revision 'main' on 127.0.0.1.")]
    [InlineData(405, "", "127.0.0.1 answers 405 for the list of files of 'owner/tiny', which is not how a hub answers.")]
    public async Task DownloadAsync_explains_a_refusal_without_another_attempt(int status, string code, string message)
    {
        _hub.Intercept = _ => new HubReply(status) { Headers = code.Length == 0 ? [] : new() { ["X-Error-Code"] = code } };

        Assert.Contains(message, await FailAsync(), StringComparison.Ordinal);
        Assert.Single(_hub.Requests);
    }

    [Fact]
    public async Task DownloadAsync_never_writes_the_token_into_a_message()
    {
        _hub.Intercept = _ => new HubReply(401);

        var failure = await Assert.ThrowsAsync<HubException>(() => DownloadAsync(options => options.Token = "hf_test_secret"));

        Assert.Contains("the token that is set may not read it", failure.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("hf_test_secret", failure.ToString(), StringComparison.Ordinal);
        failure = await Assert.ThrowsAsync<HubException>(() => DownloadAsync(options => options.Token = "hf_test\nsecret"));
        Assert.Contains("holds characters that no token has", failure.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("secret", failure.ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(503)]
    [InlineData(403)]
    [InlineData(200)]
    public async Task DownloadAsync_never_writes_the_token_or_a_header_into_a_log(int status)
    {
        const string Secret = "hf_test_secret";
        var logger = new ListLogger();
        // A hub that sends everything back.
        _hub.Intercept = request => (status == 200 ? _hub.Honest(request) : new HubReply(status)) with
        {
            Headers = new()
            {
                ["ETag"] = $"\"{Secret}\"",
                ["X-Linked-Etag"] = Secret,
                ["X-Repo-Commit"] = Secret,
                ["X-Error-Code"] = Secret,
                ["X-Error-Message"] = Secret,
            },
        };

        var failure = await Assert.ThrowsAsync<HubException>(
            () => DownloadAsync(options => (options.Token, options.Logger) = (Secret, logger)));

        Assert.DoesNotContain(Secret, failure.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain(logger.Messages, message => message.Contains(Secret, StringComparison.Ordinal));
        Assert.Equal(status == 503, logger.Messages.Count > 0);
    }

    [Fact]
    public async Task DownloadAsync_tries_again_when_the_hub_is_overloaded()
    {
        int number = 0;
        _hub.Intercept = _ => ++number <= 2 ? new HubReply(number == 1 ? 503 : 429) { Headers = { ["Retry-After"] = "0" } } : null;

        Assert.True(Directory.Exists(await DownloadAsync()));
        Assert.Equal(3, _hub.Requests.Count(request => request.Path.StartsWith("/api/", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task DownloadAsync_refuses_a_file_that_is_not_as_large_as_promised()
    {
        Answer("HEAD", Weights, (reply, _) => reply with { Headers = new(reply.Headers) { ["Content-Length"] = "299999" } });

        Assert.Contains(
            "The hub promised 299999 bytes of 'model.safetensors' but 127.0.0.1 sends 300000.", await FailAsync(),
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task DownloadAsync_stops_a_stream_that_is_longer_than_promised()
    {
        Answer("GET", Weights, (reply, _) => reply with { WithoutLength = true, Body = new byte[3_000_000] });

        Assert.Contains(
            "127.0.0.1 sends more than the promised 300000 bytes of 'model.safetensors'.", await FailAsync(), StringComparison.Ordinal);
        Assert.Equal(0, new FileInfo(PartPath()).Length);
    }

    [Fact]
    public async Task DownloadAsync_treats_an_open_end_that_comes_too_early_as_a_cut()
    {
        Answer("GET", Weights, (reply, number) => number == 1 ? reply with { WithoutLength = true, CutAfter = 1000 } : reply);

        Assert.True(File.Exists(Path.Combine(await DownloadAsync(), Weights)));
        Assert.Equal([null, "bytes=1000-"], _hub.Gets(Weights).Select(request => request.Header("Range")));
    }

    [Theory]
    [InlineData(Weights)]
    [InlineData("config.json")]
    public async Task DownloadAsync_deletes_a_file_whose_hash_is_wrong(string file)
    {
        Answer("GET", file, (reply, _) => reply with { Body = [.. reply.Body.Select(value => (byte)(value ^ 1))] });

        string message = await FailAsync();

        Assert.Contains($"'{file}' from 127.0.0.1 has the hash ", message, StringComparison.Ordinal);
        Assert.Contains(
            $"but the hub promised {LoopbackHub.HashOf(file, _hub.Files[file])}. It was deleted.", message, StringComparison.Ordinal);
        Assert.DoesNotContain(
            Directory.GetFiles(BlobFolder()), path => path.Contains(LoopbackHub.HashOf(file, _hub.Files[file]), StringComparison.Ordinal));
    }

    [Fact]
    public async Task DownloadAsync_refuses_what_it_could_not_check()
    {
        Answer("HEAD", "config.json", (reply, _) => reply with { Headers = new() { ["ETag"] = "\"v1\"" } });

        Assert.Contains(
            "The hub states no hash for 'config.json' of 'owner/tiny' (ETag: not a hash)", await FailAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task DownloadAsync_refuses_a_configuration_of_absurd_size_before_it_is_sent()
    {
        Answer("HEAD", "config.json", (reply, _) => reply with { Headers = new(reply.Headers) { ["Content-Length"] = "1048577" } });

        Assert.Contains(
            "'config.json' of 'owner/tiny' has 1048577 bytes; at most 1048576 are expected", await FailAsync(), StringComparison.Ordinal);
        Assert.Empty(_hub.Gets("config.json"));
    }

    [Theory]
    [InlineData("../../evil.json")]
    [InlineData("/etc/passwd")]
    [InlineData("a/../../b")]
    [InlineData("c:\\windows")]
    [InlineData("a//b")]
    public async Task DownloadAsync_refuses_a_listing_with_a_name_that_leaves_the_folder(string name)
    {
        _hub.Files[name] = [1];

        Assert.Contains($"The file name '{name}' could leave the folder", await FailAsync(), StringComparison.Ordinal);
        Assert.Single(_hub.Requests);
    }

    [Theory]
    [InlineData("../../../evil.safetensors", "'w' lies in '../../../evil.safetensors', which is not a .safetensors file inside the folder")]
    [InlineData("config.json", "'w' lies in 'config.json', which is not a .safetensors file inside the folder")]
    [InlineData("absent.safetensors", "The index of 'owner/tiny' names 'absent.safetensors', which the repository does not hold")]
    public async Task DownloadAsync_refuses_an_index_that_names_other_files(string part, string message)
    {
        _hub.Files.Remove(Weights);
        _hub.Files["model.safetensors.index.json"] = System.Text.Encoding.UTF8.GetBytes($$$"""{"weight_map": {"w": "{{{part}}}"}}""");

        Assert.Contains(message, await FailAsync(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("config.json", "holds no config.json: it is not a model in Hugging Face format")]
    [InlineData("merges.txt", "holds no tokenizer: neither tokenizer.json nor vocab.json with merges.txt")]
    [InlineData(Weights, "holds no safetensors weights: neither model.safetensors nor model.safetensors.index.json")]
    public async Task DownloadAsync_says_what_a_repository_lacks_before_it_downloads(string file, string message)
    {
        _hub.Files.Remove(file);

        Assert.Contains(message, await FailAsync(), StringComparison.Ordinal);
        Assert.Single(_hub.Requests);
    }

    [Fact]
    public async Task DownloadAsync_recognizes_a_page_that_is_no_hub()
    {
        _hub.Intercept = _ => new HubReply(200) { Body = "<html>Please log in to the network</html>"u8.ToArray() };

        Assert.Contains("127.0.0.1 does not answer as a hub does. ", await FailAsync(), StringComparison.Ordinal);
        _hub.Intercept = _ => new HubReply(200) { Body = new byte[17 * 1_048_576] };
        Assert.Contains("The list of files of 'owner/tiny' has more than 16777216 bytes", await FailAsync(), StringComparison.Ordinal);
        _hub.Intercept = _ => new HubReply(302) { Headers = { ["Location"] = _hub.Address + "loop" } };
        Assert.Contains("127.0.0.1 redirects more than 8 times", await FailAsync(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("http://example.com/x", "127.0.0.1 redirects to http://example.com, which is not https. Nothing was sent there.")]
    [InlineData("file:///etc/passwd", "127.0.0.1 redirects to file://, which is not https.")]
    [InlineData("https:s://store.example/x", "127.0.0.1 redirects to what is no address.")]
    public async Task DownloadAsync_refuses_a_redirect_to_an_open_line(string location, string message)
    {
        Answer("GET", Weights, (_, _) => new HubReply(302) { Headers = { ["Location"] = location } });

        Assert.Contains(message, await FailAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task DownloadAsync_says_what_it_tried_and_what_to_do_when_the_hub_is_down()
    {
        HubOptions options = _hub.Options(_cache);
        _hub.Stop();
        options.MaxAttempts = 2;

        string message = (await Assert.ThrowsAsync<HubException>(() => HubClient.DownloadAsync(LoopbackHub.Id, options))).Message;

        Assert.Contains(
            "'owner/tiny' cannot be downloaded from 127.0.0.1: 127.0.0.1 cannot be reached (ConnectionError). All 2 attempts failed.",
            message, StringComparison.Ordinal);
        Assert.Contains("Nor is it complete in the cache (missing: no revision 'main' in", message, StringComparison.Ordinal);
        Assert.Contains("run 'hf download owner/tiny --revision main --local-dir <folder>'", message, StringComparison.Ordinal);
        options.Offline = true;
        message = (await Assert.ThrowsAsync<HubException>(() => HubClient.DownloadAsync(LoopbackHub.Id, options))).Message;
        Assert.Contains(
            "and the network is off (HF_HUB_OFFLINE or HubOptions.Offline). To get it by hand:", message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task DownloadAsync_stops_when_canceled_and_continues_on_the_next_call()
    {
        using var cancellation = new CancellationTokenSource();
        Answer("GET", Weights, (reply, number) => number == 1 ? reply with { StallAfter = 200_000 } : reply);
        Task<string> download = HubClient.DownloadAsync(LoopbackHub.Id, _hub.Options(_cache), cancellation.Token);
        while (!File.Exists(PartPath()) || new FileInfo(PartPath()).Length < 100_000)
        {
            await Task.Delay(10);
        }

        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => download);
        long kept = new FileInfo(PartPath()).Length;
        string folder = await DownloadAsync();

        Assert.InRange(kept, 100_000, 200_000);
        Assert.Equal(_hub.Files[Weights], File.ReadAllBytes(Path.Combine(folder, Weights)));
        Assert.Equal($"bytes={kept.ToString(CultureInfo.InvariantCulture)}-", _hub.Gets(Weights).Last().Header("Range"));
    }

    private Task<string> DownloadAsync(Action<HubOptions>? configure = null)
    {
        HubOptions options = _hub.Options(_cache);
        configure?.Invoke(options);
        return HubClient.DownloadAsync(LoopbackHub.Id, options);
    }

    private async Task<string> FailAsync(Action<HubOptions>? configure = null) =>
        (await Assert.ThrowsAsync<HubException>(() => DownloadAsync(configure))).Message;

    /// <summary>Changes the honest answer for one file; the number counts these requests from 1.</summary>
    private void Answer(string method, string file, Func<HubReply, int, HubReply> change)
    {
        int number = 0;
        _hub.Intercept = request => request.Method == method && request.Path.EndsWith("/" + file, StringComparison.Ordinal)
            ? change(_hub.Honest(request), Interlocked.Increment(ref number))
            : null;
    }

    private string BlobFolder() => _cache[Path.Combine("models--owner--tiny", "blobs")];

    private string PartPath() => Path.Combine(BlobFolder(), LoopbackHub.HashOf(Weights, _hub.Files[Weights]) + ".incomplete");

    private void LeavePart(byte[] content)
    {
        Directory.CreateDirectory(BlobFolder());
        File.WriteAllBytes(PartPath(), content);
    }
}

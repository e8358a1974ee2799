using System.Globalization;
using Grpo.Testing;

namespace Grpo.Hub.Tests;

/// <summary>Uploads to a hub that cuts, stalls and refuses.</summary>
[Collection(TimedHub.Name)]
public sealed class HubUploadFailureTests : IDisposable
{
    private readonly UploadHub _server = new();
    private readonly TemporaryFolder _folder = UploadHub.Model();

    public void Dispose()
    {
        _server.Dispose();
        _folder.Dispose();
    }

    public enum Cut
    {
        Before,
        Request,
        After,
        Answer,
    }

    // 10 requests to the hub, 4 to the store, and a HEAD request for each of 5 files.
    public static TheoryData<int, Cut> EveryRequest
    {
        get
        {
            var data = new TheoryData<int, Cut>();
            foreach (Cut cut in Enum.GetValues<Cut>())
            {
                for (int number = 0; number < 19; number++)
                {
                    data.Add(number, cut);
                }
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(EveryRequest))]
    public async Task SendAsync_survives_a_cut_at_any_request(int number, Cut cut)
    {
        CutOnce(number, cut);

        HubCommit commit = await SendAsync();

        _server.AssertNewestIs(_folder);
        Assert.Equal(_server.Ids[^1], commit.Commit);
        Assert.Equal(5, commit.Changed.Count);
        Assert.Equal(2, _server.Commits.Count); // the lost answer of a commit does not lead to a second one
    }

    [Theory]
    [MemberData(nameof(EveryRequest))]
    public async Task SendAsync_continues_after_a_call_that_was_cut(int number, Cut cut)
    {
        CutOnce(number, cut);
        Exception? failure = await Record.ExceptionAsync(() => SendAsync(options => options.Connection.MaxAttempts = 1));
        Assert.True(failure is HubException || (failure is null && number is 1 or 2 or >= 14)); // .NET itself repeats GET and HEAD
        _server.Hub.CutRequest = _server.Store.CutRequest = null;
        (_server.Refuse, _server.Change) = (null, null);
        string[] had = [.. _server.Objects.Keys.Where(_server.Confirmed.Contains)];
        int before = _server.Store.Requests.Count;

        await SendAsync();

        _server.AssertNewestIs(_folder);
        Assert.Equal(2, _server.Commits.Count);
        Assert.DoesNotContain(
            _server.Store.Requests.Skip(before), request => had.Any(oid => request.Path.Contains(oid, StringComparison.Ordinal)));
    }

    [Fact]
    public async Task SendAsync_sends_only_the_missing_part_again()
    {
        int number = 0;
        _server.Refuse = request => request.Path.EndsWith("/2", StringComparison.Ordinal) && ++number <= 3 ? new HubReply(500) : null;

        await SendAsync();

        Assert.Equal(1 + 4 + 1 + 1, _server.Store.Requests.Count); // part 1, part 2 four times, part 3, the other file
        _server.AssertNewestIs(_folder);
    }

    [Fact]
    public async Task SendAsync_asks_for_new_addresses_when_they_have_expired()
    {
        int number = 0;
        _server.Refuse = request => request.Path.EndsWith("/3", StringComparison.Ordinal) && ++number == 1 ? new HubReply(403) : null;

        await SendAsync();

        Assert.Equal(3 + 3 + 1, _server.Store.Requests.Count); // all three parts again, and the other file
        _server.AssertNewestIs(_folder);
    }

    [Theory]
    [InlineData(403)]
    [InlineData(500)]
    public async Task SendAsync_gives_up_when_the_store_always_refuses_a_part(int status)
    {
        _server.Refuse = request => request.Path.EndsWith("/2", StringComparison.Ordinal) ? new HubReply(status) : null;

        string message = await FailAsync();

        Assert.Contains($"answers {status} for part 2 of 'model.safetensors'", message, StringComparison.Ordinal);
        Assert.Contains("What has arrived is kept: the next call sends only the rest.", message, StringComparison.Ordinal);
        Assert.InRange(_server.Store.Requests.Count(request => request.Path.EndsWith("/2", StringComparison.Ordinal)), 5, 6);
        Assert.Single(_server.Commits);
    }

    [Theory]
    [InlineData("/api/repos/create", 401, "refuses the creation of 'owner/tiny' (401). It says: \"no\". The token that is set may not")]
    [InlineData("/api/repos/create", 403, "refuses the creation of 'owner/tiny' (403). It says: \"no\". The token that is set may not")]
    [InlineData("/api/repos/create", 400, "refuses the creation of 'owner/tiny' (400). It says: \"no\". Nothing was committed.")]
    [InlineData("/preupload/main", 401, "refuses the list of files for 'owner/tiny' (401).")]
    [InlineData("/preupload/main", 404, "Check the spelling of the id, and that the branch 'main' exists.")]
    [InlineData("/objects/batch", 403, "refuses the upload of 'model.safetensors' to 'owner/tiny' (403).")]
    [InlineData("/objects/batch", 413, "(413): it is too large. It says: \"no\". Exclude files")]
    [InlineData("/commit/main", 400, "refuses the commit to 'owner/tiny' (400). It says: \"no\". Nothing was committed.")]
    [InlineData("/commit/main", 403, "refuses the commit to 'owner/tiny' (403).")]
    [InlineData("/commit/main", 404, "does not have the commit to 'owner/tiny' (404).")]
    [InlineData("/commit/main", 413, "refuses the commit to 'owner/tiny' (413): it is too large.")]
    [InlineData("/commit/main", 418, "answers 418 to the commit to 'owner/tiny', which is not how a hub answers.")]
    public async Task SendAsync_explains_a_refusal_without_another_attempt(string path, int status, string expected)
    {
        _server.Refuse = request => request.Path.EndsWith(path, StringComparison.Ordinal) ? UploadHub.Said(status, "no") : null;

        Assert.Contains(expected, await FailAsync(), StringComparison.Ordinal);
        Assert.Single(_server.Hub.Requests, request => request.Path.EndsWith(path, StringComparison.Ordinal));
        Assert.Single(_server.Commits);
    }

    [Theory]
    [InlineData(429)]
    [InlineData(503)]
    [InlineData(408)]
    public async Task SendAsync_tries_again_when_the_hub_is_overloaded(int status)
    {
        var seen = new HashSet<string>();
        _server.Refuse = request => seen.Add($"{request.Method} {request.Path}")
            ? new HubReply(status) { Headers = { ["Retry-After"] = "0" } }
            : null;

        await SendAsync();

        _server.AssertNewestIs(_folder);
        Assert.Equal(2, _server.Commits.Count);
    }

    [Fact]
    public async Task SendAsync_waits_as_long_as_the_hub_asks()
    {
        int number = 0;
        _server.Refuse = request => request.Path.EndsWith("/commit/main", StringComparison.Ordinal) && ++number == 1
            ? new HubReply(429) { Headers = { ["Retry-After"] = "1" } }
            : null;
        var clock = System.Diagnostics.Stopwatch.StartNew();

        await SendAsync();

        Assert.InRange(clock.Elapsed, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(20));
    }

    [Fact]
    public async Task WaitAsync_waits_thirty_seconds_at_most()
    {
        var log = new ListLogger();
        HubSettings settings = HubSettings.Resolve(new HubOptions { MaxAttempts = 100, Logger = log }, _ => null, _folder.Path);
        var budget = new RetryBudget(settings, settings.MaxAttempts);
        for (int i = 1; i < 99; i++)
        {
            await budget.WaitAsync(new HubTransientException("busy", retryAfter: TimeSpan.Zero), CancellationToken.None);
        }

        // After 99 failures the delay of 1 second has doubled 98 times.
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => budget.WaitAsync(new HubTransientException("busy"), new CancellationToken(canceled: true)));
        Assert.Equal("busy Attempt 100 of 100 follows in 00:00:30.", log.Messages[^1]);
    }

    [Fact]
    public async Task SendAsync_commits_on_top_of_another_commit_that_came_first()
    {
        int number = 0;
        _server.Refuse = request =>
        {
            if (request.Path.EndsWith("/commit/main", StringComparison.Ordinal) && ++number == 1)
            {
                _server.Commits.Add(new() { ["other.txt"] = [1] });
                _server.Ids.Add(new string('b', 40));
            }

            return null;
        };

        await SendAsync();

        Assert.Equal([1], _server.Newest["other.txt"]);
        Assert.Equal(6, _server.Newest.Count);
        Assert.Equal(3, _server.Commits.Count);
    }

    [Fact]
    public async Task SendAsync_gives_up_when_another_commit_always_comes_first()
    {
        _server.Refuse = request => request.Path.EndsWith("/commit/main", StringComparison.Ordinal)
            ? UploadHub.Said(412, "A commit has happened since.")
            : null;

        Assert.Contains("(412): another commit came first, or is being made. It says: \"A commit has", await FailAsync(),
            StringComparison.Ordinal);
        Assert.Equal(5, _server.Hub.Requests.Count(request => request.Path.EndsWith("/commit/main", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task SendAsync_repeats_no_pull_request_whose_answer_was_lost()
    {
        _server.Change = (request, reply) =>
            request.Path.EndsWith("/commit/main", StringComparison.Ordinal) ? reply with { IsDropped = true } : null;

        string message = await FailAsync(options => options.CreatePullRequest = true);

        Assert.Contains("The pull request may have been opened all the same. Look at http://127.0.0.1:", message, StringComparison.Ordinal);
        Assert.Equal(2, _server.Commits.Count);
    }

    [Fact]
    public async Task SendAsync_writes_to_a_repository_that_the_token_could_not_create()
    {
        _server.Exists = true;
        _server.Refuse = request => request.Path == "/api/repos/create" ? UploadHub.Said(403, "You may not create") : null;

        await SendAsync();

        _server.AssertNewestIs(_folder);
    }

    [Fact]
    public async Task SendAsync_gives_up_an_answer_that_never_comes()
    {
        _server.Change = (request, reply) =>
            request.Path.EndsWith("/preupload/main", StringComparison.Ordinal) ? reply with { StallAfter = 3 } : null;

        string message = await FailAsync(options =>
            (options.Connection.StallTimeout, options.Connection.MaxAttempts) = (TimeSpan.FromSeconds(1), 1));

        Assert.Contains("Nothing came for 1 seconds", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("model.safetensors", 100_001)] // in parts, the second of which has changed
    [InlineData("sub/tokenizer.json", 7)]      // in one piece
    [InlineData("config.json", 1)]             // in the commit
    public async Task SendAsync_commits_nothing_when_a_file_changes_meanwhile(string file, int position)
    {
        _server.Refuse = request =>
        {
            if (request.Path.EndsWith("/preupload/main", StringComparison.Ordinal))
            {
                string path = _folder[file];
                byte[] content = File.ReadAllBytes(path);
                content[position] ^= 1;
                File.WriteAllBytes(path, content);
            }

            return null;
        };

        Assert.Contains($"'{file}' changed while it was uploaded. Nothing was committed.", await FailAsync(), StringComparison.Ordinal);
        Assert.Single(_server.Commits);
        Assert.All(_server.Objects, entry => Assert.Equal(entry.Key, UploadHub.Sha256(entry.Value)));
    }

    [Fact]
    public async Task SendAsync_stops_when_canceled_and_continues_on_the_next_call()
    {
        using var cancellation = new CancellationTokenSource();
        _server.Refuse = request =>
        {
            if (request.Path == "/verify")
            {
                cancellation.Cancel();
            }

            return null;
        };
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => HubUpload.SendAsync(_folder.Path, UploadHub.Id, _server.Options(), cancellation.Token));
        Assert.Equal(3, _server.Store.Requests.Count);
        _server.Refuse = null;

        await SendAsync();

        Assert.Equal(4, _server.Store.Requests.Count);
        _server.AssertNewestIs(_folder);
    }

    [Fact]
    public async Task SendAsync_finds_a_hub_that_is_not_there()
    {
        _server.Hub.Stop();

        Assert.Contains("'owner/tiny' was not uploaded to 127.0.0.1: 127.0.0.1 cannot be reached", await FailAsync(),
            StringComparison.Ordinal);
    }

    private Task<HubCommit> SendAsync(Action<HubUploadOptions>? configure = null) =>
        HubUpload.SendAsync(_folder.Path, UploadHub.Id, _server.Options(configure));

    private async Task<string> FailAsync(Action<HubUploadOptions>? configure = null)
    {
        HubException failure = await Assert.ThrowsAsync<HubException>(() => SendAsync(configure));
        Assert.DoesNotContain(UploadHub.Token, failure.ToString(), StringComparison.Ordinal);
        return failure.Message;
    }

    /// <summary>Cuts one request, counted from 0 over hub and store.</summary>
    private void CutOnce(int target, Cut cut)
    {
        int number = -1;
        int? Count(HubRequest request)
        {
            return Interlocked.Increment(ref number) == target && cut == Cut.Request && request.Header("Content-Length") is { } length
                ? int.Parse(length, CultureInfo.InvariantCulture) / 2
                : null;
        }

        _server.Hub.CutRequest = _server.Store.CutRequest = Count;
        _server.Refuse = request => number == target
            && (cut == Cut.Before || (cut == Cut.Request && request.Body.Length == 0))
            ? new HubReply(200) { IsDropped = true }
            : null;
        _server.Change = (_, reply) => number != target ? null
            : cut == Cut.After || (cut == Cut.Answer && reply.Body.Length == 0) ? reply with { IsDropped = true }
            : cut == Cut.Answer ? reply with { CutAfter = reply.Body.Length / 2 }
            : null;
    }
}

using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Grpo.Testing;

namespace Grpo.Hub.Tests;

/// <summary>
/// Uploads under random schedules of faults. Every upload ends, and no commit ever holds wrong content, whatever the hub does.
/// </summary>
[Collection(TimedHub.Name)]
public sealed class HubUploadScheduleTests
{
    private const int All = 20_000;
    private const int Blocks = 10;

    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(60);

    // GRPO_PUSHES=all runs every schedule; without it a hundredth runs.
    private static readonly int PerBlock =
        (Environment.GetEnvironmentVariable("GRPO_PUSHES") is "all" ? All : All / 100) / Blocks;

    public static TheoryData<int> EveryBlock => [.. Enumerable.Range(0, Blocks)];

    [Theory]
    [MemberData(nameof(EveryBlock))]
    public async Task SendAsync_ends_and_never_commits_wrong_content(int block)
    {
        int succeeded = 0;
        for (int seed = block * PerBlock; seed < (block + 1) * PerBlock; seed++)
        {
            succeeded += await RunAsync(seed) ? 1 : 0;
        }

        // Neither all nor none: the schedules reach both ends.
        Assert.InRange(succeeded, PerBlock / 10, PerBlock - 1);
    }

    private static async Task<bool> RunAsync(int seed)
    {
        var random = new Random(seed);
        using var server = new UploadHub { LargeBytes = 100, PartBytes = 300, AsksToVerify = random.Next(2) == 0 };
        using TemporaryFolder folder = Folder(random);
        var faults = new Faults(random, server);
        bool succeeded = false;

        // Up to three calls, as a user makes who tries again.
        int calls = random.Next(1, 4);
        for (int call = 0; call < calls && !succeeded; call++)
        {
            var clock = Stopwatch.StartNew();
            try
            {
                HubCommit commit = await HubUpload.SendAsync(folder.Path, UploadHub.Id, server.Options());
                Check(seed, faults.IsLying || server.Ids.Contains(commit.Commit), "the commit does not exist");
                succeeded = true;
            }
            catch (HubException e)
            {
                Check(seed, !e.ToString().Contains(UploadHub.Token, StringComparison.OrdinalIgnoreCase), "the token is in the message");
                Check(seed, !e.Message.Contains('\n', StringComparison.Ordinal), "the message has several lines");
            }

            Check(seed, clock.Elapsed < Longest, "the upload took too long");
        }

        faults.Stop();
        Dictionary<string, byte[]> files = UploadHub.FilesOf(folder);
        foreach (Dictionary<string, byte[]> commit in server.Commits.Skip(1))
        {
            Check(seed, commit.Keys.All(files.ContainsKey), "a commit holds a file that the folder does not");
            Check(seed, commit.All(file => file.Value.SequenceEqual(files[file.Key])), "a commit holds wrong content");
        }

        Check(seed, !succeeded || faults.IsLying || server.Newest.Count == files.Count, "the commit lacks a file");
        Check(seed, server.Store.Requests.All(request => request.Header("Authorization") is null), "the store got the token");

        // What is left behind never stands in the way of an honest hub.
        await HubUpload.SendAsync(folder.Path, UploadHub.Id, server.Options());
        Check(seed, server.Newest.Count == files.Count, "an honest hub does not get all files");
        Check(seed, server.Newest.All(file => file.Value.SequenceEqual(files[file.Key])), "an honest hub does not get the right files");
        return succeeded;
    }

    private static TemporaryFolder Folder(Random random)
    {
        var folder = new TemporaryFolder();
        int count = random.Next(1, 5);
        for (int i = 0; i < count; i++)
        {
            // Some small, some in one piece, some in parts, some empty, some equal.
            var content = new byte[random.Next(4) * random.Next(300)];
            new Random(random.Next(3)).NextBytes(content);
            File.WriteAllBytes(folder[$"file{i}.bin"], content);
        }

        return folder;
    }

    private static void Check(int seed, bool holds, string problem) =>
        Assert.True(holds, string.Create(CultureInfo.InvariantCulture, $"Schedule {seed}: {problem}."));

    /// <summary>Faults at random requests, decided by the seed and the order of the requests.</summary>
    private sealed class Faults
    {
        private readonly Random _random;
        private readonly double _rate;
        private readonly UploadHub _server;

        public Faults(Random random, UploadHub server)
        {
            (_random, _server) = (random, server);
            _rate = random.NextDouble() * 0.4;
            server.Hub.CutRequest = server.Store.CutRequest = _ => Next(0.1) ? _random.Next(2) : null;
            server.Refuse = _ => Next(0.4) ? Refusal() : null;
            server.Change = (_, reply) => Next(0.5) ? Changed(reply) : null;
        }

        /// <summary>True if an answer was changed, so that what the client believes may be wrong.</summary>
        public bool IsLying { get; private set; }

        public void Stop() => (_server.Hub.CutRequest, _server.Store.CutRequest, _server.Refuse, _server.Change) = (null, null, null, null);

        private bool Next(double share)
        {
            lock (_random)
            {
                return _random.NextDouble() < _rate * share;
            }
        }

        private HubReply Refusal()
        {
            int[] codes = [400, 401, 403, 404, 408, 409, 412, 413, 422, 429, 429, 500, 502, 503, 503, 504];
            HubReply refusal = UploadHub.Said(codes[_random.Next(codes.Length)], $"no {UploadHub.Token}");
            return _random.Next(4) == 0
                ? new HubReply(200) { IsDropped = true }
                : refusal with { Headers = new() { ["Retry-After"] = "0" } };
        }

        private HubReply Changed(HubReply reply)
        {
            switch (_random.Next(6))
            {
                case 0:
                    return reply with { IsDropped = true };
                case 1 when reply.Body.Length > 0:
                    return reply with { CutAfter = _random.Next(reply.Body.Length) };
                case 2:
                    return reply with { Body = "<html></html>"u8.ToArray() };
                case 3:
                    IsLying = true;
                    return reply with { Headers = [] };
                default:
                    IsLying = true;
                    return reply with { Body = Lie(reply.Body) };
            }
        }

        // Another value somewhere in the object, or one that is missing.
        private byte[] Lie(byte[] body)
        {
            JsonNode? root;
            try
            {
                root = body.Length == 0 ? null : JsonNode.Parse(body);
            }
            catch (System.Text.Json.JsonException)
            {
                root = null;
            }

            if (root is null)
            {
                return body.Length == 0 ? "{}"u8.ToArray() : [.. body.Reverse()];
            }

            List<JsonNode> inner = [.. Nodes(root).Where(node => node.Parent is not null)];
            if (inner.Count == 0)
            {
                return "[]"u8.ToArray();
            }

            JsonNode chosen = inner[_random.Next(inner.Count)];
            JsonNode? other = _random.Next(8) switch
            {
                0 => null,
                1 => new string('c', 40),
                2 => new string('d', 64),
                3 => "https://127.0.0.1:1/x",
                4 => _server.Store.Address + "elsewhere",
                5 => -1,
                6 => UploadHub.Token,
                _ => new JsonArray(),
            };
            chosen.ReplaceWith(other);
            return Encoding.UTF8.GetBytes(root.ToJsonString());
        }

        private static IEnumerable<JsonNode> Nodes(JsonNode node) => node switch
        {
            JsonObject inner => inner.Select(entry => entry.Value).OfType<JsonNode>().SelectMany(Nodes).Prepend(node),
            JsonArray inner => inner.OfType<JsonNode>().SelectMany(Nodes).Prepend(node),
            _ => [node],
        };
    }
}

using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Grpo.Testing;

namespace Grpo.Hub.Tests;

/// <summary>A hub with the interface for uploads, and a store for large files on another port. It keeps what it is given.</summary>
internal sealed class UploadHub : IDisposable
{
    public const string Id = "owner/tiny";
    public const string Token = "hf_test_upload_token";

    private readonly Lock _lock = new();
    private readonly Dictionary<string, SortedDictionary<int, byte[]>> _parts = [];

    public UploadHub()
    {
        Hub.Intercept = request => Answer(request, AnswerHub);
        Store.Intercept = request => Answer(request, AnswerStore);
    }

    public LoopbackHub Hub { get; } = new();

    public LoopbackHub Store { get; } = new();

    public bool Exists { get; set; }

    public bool IsPrivate { get; set; }

    /// <summary>Files above this size go to the store.</summary>
    public int LargeBytes { get; set; } = 1000;

    /// <summary>Files above this size are sent in parts.</summary>
    public int PartBytes { get; set; } = 100_000;

    public bool AsksToVerify { get; set; } = true;

    /// <summary>The files of each commit, the first of which is empty.</summary>
    public List<Dictionary<string, byte[]>> Commits { get; } = [[]];

    /// <summary>The ids of commits, in their order.</summary>
    public List<string> Ids { get; } = [LoopbackHub.Commit];

    public Dictionary<string, byte[]> Objects { get; } = [];

    public HashSet<string> Confirmed { get; } = [];

    /// <summary>Changes the answer to a request, after it has been carried out; null leaves it.</summary>
    public Func<HubRequest, HubReply, HubReply?>? Change { get; set; }

    /// <summary>Answers instead of carrying out the request; null carries it out.</summary>
    public Func<HubRequest, HubReply?>? Refuse { get; set; }

    public IReadOnlyDictionary<string, byte[]> Newest => Commits[^1];

    public IEnumerable<HubRequest> AllRequests => Hub.Requests.Concat(Store.Requests);

    public HubUploadOptions Options(Action<HubUploadOptions>? configure = null)
    {
        var options = new HubUploadOptions
        {
            Connection = new HubOptions
            {
                Endpoint = Hub.Address,
                Token = Token,
                Offline = false,
                RetryDelay = TimeSpan.Zero,
                StallTimeout = TimeSpan.FromSeconds(20),
            },
        };
        configure?.Invoke(options);
        return options;
    }

    /// <summary>A model of 250,000 bytes of weights in three parts, 50,000 bytes of another file in one, and small files.</summary>
    public static TemporaryFolder Model()
    {
        var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder["sub"]);
        File.WriteAllText(folder["README.md"], "# tiny");
        File.WriteAllText(folder["config.json"], "{}");
        File.WriteAllText(folder["empty.txt"], "");
        File.WriteAllBytes(folder["model.safetensors"], LoopbackHub.Bytes(250_000, seed: 1));
        File.WriteAllBytes(folder[Path.Combine("sub", "tokenizer.json")], LoopbackHub.Bytes(50_000, seed: 2));
        return folder;
    }

    public static Dictionary<string, byte[]> FilesOf(TemporaryFolder folder) => Directory
        .EnumerateFiles(folder.Path, "*", SearchOption.AllDirectories)
        .ToDictionary(path => Path.GetRelativePath(folder.Path, path).Replace('\\', '/'), File.ReadAllBytes);

    public void AssertNewestIs(TemporaryFolder folder)
    {
        Dictionary<string, byte[]> files = FilesOf(folder);
        Assert.Equal(files.Keys.Order(StringComparer.Ordinal), Newest.Keys.Order(StringComparer.Ordinal));
        Assert.All(files, file => Assert.Equal(file.Value, Newest[file.Key]));
    }

    public void Dispose()
    {
        Hub.Dispose();
        Store.Dispose();
    }

    public static string Sha256(byte[] content) => Convert.ToHexStringLower(SHA256.HashData(content));

    private bool IsLarge(byte[] content) => content.Length > LargeBytes;

    private HubReply Answer(HubRequest request, Func<HubRequest, HubReply> honest)
    {
        lock (_lock)
        {
            if (Refuse?.Invoke(request) is { } refusal)
            {
                return refusal;
            }

            HubReply reply = honest(request);
            return Change?.Invoke(request, reply) ?? reply;
        }
    }

    private HubReply AnswerHub(HubRequest request)
    {
        string path = request.Path;
        string api = $"/api/models/{Id}";
        if (path == "/api/repos/create")
        {
            (bool existed, Exists) = (Exists, true);
            IsPrivate = existed ? IsPrivate : Json(request).TryGetProperty("private", out JsonElement asked) && asked.GetBoolean();
            return existed
                ? Said(409, "You already created this model repo")
                : LoopbackHub.Json(new { url = $"{Hub.Address}{Id}", name = Id });
        }

        if (!Exists)
        {
            return Said(404, "Repository not found");
        }

        if (path == api)
        {
            return LoopbackHub.Json(new { id = Id, @private = IsPrivate });
        }

        return path switch
        {
            _ when path.StartsWith(api + "/revision/", StringComparison.Ordinal) => Listing(),
            _ when path == api + "/preupload/main" => Preupload(Json(request)),
            _ when path == api + "/commit/main" => Commit(request),
            $"/{Id}.git/info/lfs/objects/batch" => Batch(Json(request)),
            "/complete" => Complete(Json(request)),
            "/verify" => Verify(Json(request)),
            _ when path.StartsWith($"/{Id}/resolve/", StringComparison.Ordinal) => Describe(path.Split('/', 5)[4]),
            _ => new HubReply(404),
        };
    }

    private HubReply Listing() =>
        LoopbackHub.Json(new { sha = Ids[^1], siblings = Newest.Keys.Select(name => new { rfilename = name }) });

    private HubReply Preupload(JsonElement asked) => LoopbackHub.Json(new
    {
        files = asked.GetProperty("files").EnumerateArray().Select(file => new
        {
            path = file.GetProperty("path").GetString(),
            uploadMode = file.GetProperty("size").GetInt64() > LargeBytes ? "lfs" : "regular",
            shouldIgnore = false,
            oid = Newest.TryGetValue(file.GetProperty("path").GetString()!, out byte[]? content) ? HashOf(content) : null,
        }),
    });

    private HubReply Batch(JsonElement asked)
    {
        JsonElement file = asked.GetProperty("objects")[0];
        string oid = file.GetProperty("oid").GetString()!;
        int size = file.GetProperty("size").GetInt32();
        if (Objects.ContainsKey(oid) && (!AsksToVerify || Confirmed.Contains(oid)))
        {
            return LoopbackHub.Json(new { transfer = "basic", objects = new[] { new { oid, size } } });
        }

        var upload = new JsonObject { ["href"] = $"{Store.Address}{oid}?signature=abc" };
        if (size > PartBytes)
        {
            _parts[oid] = [];
            int count = (size + PartBytes - 1) / PartBytes;
            var header = new JsonObject { ["chunk_size"] = PartBytes.ToString(CultureInfo.InvariantCulture) };
            for (int i = 1; i <= count; i++)
            {
                header[i.ToString("00000", CultureInfo.InvariantCulture)] = $"{Store.Address}{oid}/{i}?signature=abc";
            }

            upload = new JsonObject { ["href"] = $"{Hub.Address}complete", ["header"] = header };
        }

        var actions = new JsonObject { ["upload"] = upload };
        if (AsksToVerify)
        {
            actions["verify"] = new JsonObject { ["href"] = $"{Hub.Address}verify" };
        }

        var answer = new JsonObject
        {
            ["transfer"] = size > PartBytes ? "multipart" : "basic",
            ["objects"] = new JsonArray(new JsonObject { ["oid"] = oid, ["size"] = size, ["actions"] = actions }),
        };
        return new HubReply(200) { Body = Encoding.UTF8.GetBytes(answer.ToJsonString()) };
    }

    // It keeps what arrives without looking at it, so that a test sees what a client sends.
    private HubReply AnswerStore(HubRequest request)
    {
        if (request.Method != "PUT")
        {
            return new HubReply(405);
        }

        string[] names = request.Path.Trim('/').Split('/');
        if (names.Length == 1)
        {
            Objects[names[0]] = request.Body;
            return new HubReply(200);
        }

        if (!_parts.TryGetValue(names[0], out SortedDictionary<int, byte[]>? parts))
        {
            return new HubReply(404);
        }

        parts[int.Parse(names[1], CultureInfo.InvariantCulture)] = request.Body;
        return new HubReply(200) { Headers = { ["ETag"] = $"\"{Sha256(request.Body)}\"" } };
    }

    private HubReply Complete(JsonElement asked)
    {
        string oid = asked.GetProperty("oid").GetString()!;
        if (!_parts.Remove(oid, out SortedDictionary<int, byte[]>? parts))
        {
            return Said(404, "No such upload");
        }

        string[] etags = [.. asked.GetProperty("parts").EnumerateArray().Select(part => part.GetProperty("etag").GetString()!)];
        if (!parts.Values.Select(part => $"\"{Sha256(part)}\"").SequenceEqual(etags))
        {
            return Said(400, "Invalid parts");
        }

        Objects[oid] = [.. parts.Values.SelectMany(part => part)];
        return new HubReply(200);
    }

    private HubReply Verify(JsonElement asked)
    {
        string oid = asked.GetProperty("oid").GetString()!;
        if (!Objects.TryGetValue(oid, out byte[]? content) || content.Length != asked.GetProperty("size").GetInt32())
        {
            return Said(404, "No such object");
        }

        Confirmed.Add(oid);
        return new HubReply(200);
    }

    private HubReply Commit(HubRequest request)
    {
        var files = new Dictionary<string, byte[]>(Newest);
        foreach (string line in Encoding.UTF8.GetString(request.Body).Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            JsonElement entry = JsonDocument.Parse(line).RootElement, value = entry.GetProperty("value");
            switch (entry.GetProperty("key").GetString())
            {
                case "header" when value.GetProperty("parentCommit").GetString() != Ids[^1]:
                    return Said(412, "A commit has happened since. Please refresh and try again.");
                case "file":
                    files[value.GetProperty("path").GetString()!] = value.GetProperty("content").GetBytesFromBase64();
                    break;
                case "lfsFile" when !Objects.ContainsKey(value.GetProperty("oid").GetString()!):
                    return Said(400, "LFS pointer pointed to a file that does not exist");
                case "lfsFile":
                    files[value.GetProperty("path").GetString()!] = Objects[value.GetProperty("oid").GetString()!];
                    break;
            }
        }

        bool isPullRequest = request.Query == "create_pr=1";
        Ids.Add(Convert.ToHexStringLower(SHA256.HashData([.. Encoding.UTF8.GetBytes(Ids[^1]), .. request.Body]))[..40]);
        Commits.Add(files);
        return LoopbackHub.Json(new
        {
            success = true,
            commitOid = Ids[^1],
            commitUrl = $"{Hub.Address}{Id}/commit/{Ids[^1]}",
            hookOutput = "",
            pullRequestUrl = isPullRequest ? $"{Hub.Address}{Id}/discussions/3" : null,
        });
    }

    private HubReply Describe(string path)
    {
        string[] parts = path.Split('/', 2);
        int index = Ids.IndexOf(parts[0]);
        if (index < 0 || !Commits[index].TryGetValue(parts[1], out byte[]? content))
        {
            return Said(404, "Entry not found");
        }

        return new HubReply(200)
        {
            Headers = { ["ETag"] = $"\"{HashOf(content)}\"", ["X-Repo-Commit"] = parts[0] },
            Body = content,
        };
    }

    private string HashOf(byte[] content) => LoopbackHub.HashOf(IsLarge(content) ? "x.safetensors" : "x", content);

    public static HubReply Said(int status, string error) => LoopbackHub.Json(new { error }) with { Status = status };

    private static JsonElement Json(HubRequest request) => JsonDocument.Parse(request.Body).RootElement;
}

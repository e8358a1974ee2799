using System.Net;
using Grpo.Hub;

namespace Grpo.Fuzz.Tests;

/// <summary>The readers of a hub's answers, its cache and its settings.</summary>
internal static class HubTargets
{
    private const string Commit = "0123456789abcdef0123456789abcdef01234567";
    private const string Listing =
        """
        {"id":"a/b","sha":"0123456789abcdef0123456789abcdef01234567","private":false,"tags":["x"],"siblings":[
        {"rfilename":"config.json"},{"rfilename":"tokenizer.json"},{"rfilename":"model.safetensors.index.json"},
        {"rfilename":"main/train-00000-of-00001.parquet"},{"rfilename":"train.jsonl","size":12}]}
        """;

    public static IEnumerable<FuzzTarget> All()
    {
        yield return new("listing of a hub", 5, [new(FuzzPart.Json("listing", Listing))], ReadListing, typeof(HubException));
        yield return new("headers of a hub", 4, TrainingTargets.Texts(
            $"X-Repo-Commit\t{Commit}\nX-Linked-Etag\t\"{new string('a', 64)}\"\nX-Linked-Size\t120",
            $"ETag\t\"{Commit}\"\nX-Linked-Size\t5",
            $"Location\thttps://store.example/x\nX-Linked-Etag\t{Commit}\nX-Linked-Size\t7\nRetry-After\t3"),
            ReadHeaders, typeof(HubException));
        yield return new("index of a hub", 3, [new(FuzzPart.Json(
            "index.json", """{"metadata":{"total_size":1},"weight_map":{"a":"model-1.safetensors","b":"parts/model-2.safetensors"}}"""))],
            Folder.Reading("hub", folder => Assert.All(HubModelFiles.ReadShards(Path.Combine(folder, "index.json")), RequireInside)),
            typeof(HubException));
        yield return new("cache of a hub", 1, [new(FuzzPart.Json("main", Commit))], ReadCache);
        yield return new("settings of a hub", 2,
            TrainingTargets.Texts(
                "HF_ENDPOINT=https://mirror.example/hf\nHF_TOKEN=hf_a\nHF_HUB_OFFLINE=1\nHF_HOME=~/x",
                "HF_HUB_CACHE=~/models\nREVISION=refs/pr/1"),
            ReadSettings, typeof(HubException), typeof(ArgumentException));
    }

    private static HubSettings Settings(HttpMessageHandler? handler) =>
        HubSettings.Resolve(
            new HubOptions { Endpoint = new Uri("https://hub.example"), Token = "hf_secret", MessageHandler = handler }, _ => null,
            "/home/nobody");

    private static void ReadListing(FuzzInput input)
    {
        using var answer = new Answer(() => new HttpResponseMessage { Content = new ByteArrayContent(input.Bytes) });
        HubSettings settings = Settings(answer);
        using var connection = new HubConnection(settings);
        (string commit, HashSet<string> files) = new HubRepository(connection, settings, HubRepositoryId.Model("a/b"))
            .ListAsync(CancellationToken.None).GetAwaiter().GetResult();
        Assert.Matches("^[0-9a-f]{40}$", commit);
        Assert.All(files, RequireInside);
        Assert.All(new HubModelFiles(HubRepositoryId.Model("a/b")).Select(files), file => Assert.Contains(file, files));
        Assert.Contains(Assert.Single(new HubDatasetFiles(HubRepositoryId.Dataset("a/b"), "train").Select(files)), files);
    }

    private static void ReadHeaders(FuzzInput input)
    {
        using var answer = new Answer(() =>
        {
            var response = new HttpResponseMessage(HttpStatusCode.OK) { Content = new ByteArrayContent([]) };
            foreach (string line in input.Text.Split('\n'))
            {
                string[] sides = line.Split('\t', 2);
                if (sides.Length == 2 && sides[0] == "Location")
                {
                    response.StatusCode = HttpStatusCode.Redirect;
                }

                if (sides.Length == 2 && sides[0].Length > 0 && sides[0].All(letter => letter == '-' || char.IsAsciiLetterOrDigit(letter)))
                {
                    response.Headers.TryAddWithoutValidation(sides[0], sides[1]);
                }
            }

            return response;
        });
        HubSettings settings = Settings(answer);
        using var connection = new HubConnection(settings);
        HubFileInfo file = new HubRepository(connection, settings, HubRepositoryId.Model("a/b"))
            .DescribeAsync(Commit, "config.json", 1000, CancellationToken.None).GetAwaiter().GetResult();
        Assert.InRange(file.Size, 0, 1000);
        Assert.Matches("^([0-9a-f]{40}|[0-9a-f]{64})$", file.Hash);
    }

    private static void ReadCache(FuzzInput input)
    {
        string root = Folder.Of("cache");
        var cache = new HubCache(root, HubRepositoryId.Model("a/b"));
        string refs = Directory.CreateDirectory(Path.Combine(cache.Folder, "refs")).FullName;
        input.WriteTo(refs);
        if (cache.FindCommit("main") is { } commit)
        {
            Assert.Matches("^[0-9a-f]{40}$", commit);
            Assert.False(cache.Has(commit, "config.json"));
        }
    }

    private static void ReadSettings(FuzzInput input)
    {
        var variables = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (string[] sides in input.Text.Split('\n').Select(line => line.Split('=', 2)).Where(sides => sides.Length == 2))
        {
            variables[sides[0]] = sides[1];
        }

        HubSettings settings = HubSettings.Resolve(
            new HubOptions { Revision = variables.GetValueOrDefault("REVISION", "main") }, variables.GetValueOrDefault, "/home/nobody");
        Assert.True(settings.Endpoint.Scheme == "https" || settings.Endpoint.IsLoopback);
    }

    private static void RequireInside(string name)
    {
        string root = Path.GetFullPath(Path.Combine(Path.GetTempPath(), "root")) + Path.DirectorySeparatorChar;
        Assert.StartsWith(root, Path.GetFullPath(Path.Combine(root, name)), StringComparison.Ordinal);
    }

    private sealed class Answer(Func<HttpResponseMessage> answer) : HttpMessageHandler
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            HttpResponseMessage response = answer();
            response.RequestMessage = request;
            return Task.FromResult(response);
        }
    }
}

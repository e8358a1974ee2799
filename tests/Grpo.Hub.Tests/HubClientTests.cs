using Grpo.Testing;

namespace Grpo.Hub.Tests;

[Collection(TimedHub.Name)]
public sealed class HubClientTests
{
    [Fact]
    public async Task DownloadAsync_makes_the_cache_that_Python_makes_with_only_what_a_model_needs()
    {
        using LoopbackHub hub = LoopbackHub.WithModel();
        using var cache = new TemporaryFolder();

        string folder = await HubClient.DownloadAsync(LoopbackHub.Id, hub.Options(cache));

        string model = cache["models--owner--tiny"];
        Assert.Equal(Path.Combine(model, "snapshots", LoopbackHub.Commit), folder);
        Assert.Equal(
            ["config.json", "generation_config.json", "merges.txt", "model.safetensors", "vocab.json"],
            Directory.GetFiles(folder).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        Assert.Equal(LoopbackHub.Commit, File.ReadAllText(Path.Combine(model, "refs", "main")));
        foreach (string name in Directory.GetFiles(folder).Select(path => Path.GetFileName(path)!))
        {
            string blob = LoopbackHub.HashOf(name, hub.Files[name]);
            Assert.Equal(hub.Files[name], File.ReadAllBytes(Path.Combine(folder, name)));
            if (!OperatingSystem.IsWindows())
            {
                Assert.Equal($"../../blobs/{blob}", new FileInfo(Path.Combine(folder, name)).LinkTarget);
            }
        }

        Assert.DoesNotContain(
            Directory.GetFiles(Path.Combine(model, "blobs")), path => path.EndsWith(".incomplete", StringComparison.Ordinal));
        Assert.All(hub.Requests, request => Assert.Null(request.Header("Authorization")));
    }

    [Fact]
    public async Task DownloadAsync_asks_only_for_the_list_when_all_is_there_and_for_nothing_offline_or_at_a_commit()
    {
        using LoopbackHub hub = LoopbackHub.WithModel();
        using var cache = new TemporaryFolder();
        string first = await HubClient.DownloadAsync(LoopbackHub.Id, hub.Options(cache));
        hub.Requests.Clear();

        string second = await HubClient.DownloadAsync(LoopbackHub.Id, hub.Options(cache));

        Assert.Equal(first, second);
        Assert.Equal("/api/models/owner/tiny/revision/main", Assert.Single(hub.Requests).Path);
        hub.Requests.Clear();
        HubOptions offline = hub.Options(cache);
        offline.Offline = true;
        HubOptions commit = hub.Options(cache);
        commit.Revision = LoopbackHub.Commit;
        Assert.Equal(first, await HubClient.DownloadAsync(LoopbackHub.Id, offline));
        Assert.Equal(first, await HubClient.DownloadAsync(LoopbackHub.Id, commit));
        Assert.Empty(hub.Requests);
    }

    [Fact]
    public async Task DownloadAsync_fetches_the_parts_that_the_index_names()
    {
        using LoopbackHub hub = LoopbackHub.WithModel();
        using var cache = new TemporaryFolder();
        hub.Files.Remove("model.safetensors");
        hub.Files["model-1.safetensors"] = LoopbackHub.Bytes(5000, seed: 4);
        hub.Files["model-2.safetensors"] = LoopbackHub.Bytes(6000, seed: 5);
        hub.Files["model-unused.safetensors"] = LoopbackHub.Bytes(10, seed: 6);
        hub.Files["model.safetensors.index.json"] =
            """{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-1.safetensors"}}"""u8.ToArray();
        var progress = new Recorder();
        HubOptions options = hub.Options(cache);
        options.Progress = progress;

        string folder = await HubClient.DownloadAsync(LoopbackHub.Id, options);

        Assert.Equal(hub.Files["model-2.safetensors"], File.ReadAllBytes(Path.Combine(folder, "model-2.safetensors")));
        Assert.False(File.Exists(Path.Combine(folder, "model-unused.safetensors")));
        Assert.Equal(new HubProgress("model-2.safetensors", 7, 7, 6000, 6000), progress.Reports[^1]);
        File.Delete(Path.Combine(folder, "model-1.safetensors"));
        HubOptions offline = hub.Options(cache);
        offline.Offline = true;
        Assert.Contains(
            "missing: model-1.safetensors in",
            (await Assert.ThrowsAsync<HubException>(() => HubClient.DownloadAsync(LoopbackHub.Id, offline))).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task DownloadAsync_sends_the_token_to_the_hub_and_never_to_the_store_behind_a_redirect()
    {
        using LoopbackHub hub = LoopbackHub.WithModel();
        using LoopbackHub store = LoopbackHub.WithModel();
        using var cache = new TemporaryFolder();
        hub.Store = store;
        HubOptions options = hub.Options(cache);
        options.Token = "hf_test_secret";

        string folder = await HubClient.DownloadAsync(LoopbackHub.Id, options);

        Assert.Equal(hub.Files["model.safetensors"], File.ReadAllBytes(Path.Combine(folder, "model.safetensors")));
        Assert.All(hub.Requests, request => Assert.Equal("Bearer hf_test_secret", request.Header("Authorization")));
        HubRequest stored = Assert.Single(store.Requests);
        Assert.Null(stored.Header("Authorization"));
        Assert.DoesNotContain(stored.Headers.Values, value => value.Contains("hf_test_secret", StringComparison.Ordinal));
    }

    [Fact]
    public async Task DownloadAsync_follows_a_redirect_of_a_renamed_repository()
    {
        using LoopbackHub hub = LoopbackHub.WithModel();
        using var cache = new TemporaryFolder();
        hub.Intercept = request => request.Path.StartsWith("/api/models/old/name/", StringComparison.Ordinal)
            ? new HubReply(307) { Headers = { ["Location"] = "/api/models/owner/tiny/revision/main" } }
            : null;

        string folder = await HubClient.DownloadAsync("old/name", hub.Options(cache));

        Assert.Equal(cache[Path.Combine("models--old--name", "snapshots", LoopbackHub.Commit)], folder);
    }

    [Fact]
    public async Task DownloadAsync_fetches_again_what_was_removed_from_the_cache()
    {
        using LoopbackHub hub = LoopbackHub.WithModel();
        using var cache = new TemporaryFolder();
        string folder = await HubClient.DownloadAsync(LoopbackHub.Id, hub.Options(cache));
        string hash = LoopbackHub.HashOf("model.safetensors", hub.Files["model.safetensors"]);
        File.Delete(cache[Path.Combine("models--owner--tiny", "blobs", hash)]);          // the link stays, to nothing

        await HubClient.DownloadAsync(LoopbackHub.Id, hub.Options(cache));

        Assert.Equal(hub.Files["model.safetensors"], File.ReadAllBytes(Path.Combine(folder, "model.safetensors")));
    }

    [Fact]
    public async Task DownloadAsync_downloads_each_file_once_when_two_ask_at_the_same_time()
    {
        using LoopbackHub hub = LoopbackHub.WithModel();
        using var cache = new TemporaryFolder();

        string[] folders = await Task.WhenAll(
            HubClient.DownloadAsync(LoopbackHub.Id, hub.Options(cache)), HubClient.DownloadAsync(LoopbackHub.Id, hub.Options(cache)));

        Assert.Equal(folders[0], folders[1]);
        Assert.Single(hub.Gets("model.safetensors"));
        Assert.Single(hub.Gets("config.json"));
    }

    [Fact]
    public async Task DownloadAsync_uses_the_cache_and_warns_when_the_hub_is_down()
    {
        using var cache = new TemporaryFolder();
        string folder;
        HubOptions options;
        using (LoopbackHub hub = LoopbackHub.WithModel())
        {
            options = hub.Options(cache);
            folder = await HubClient.DownloadAsync(LoopbackHub.Id, options);
        }

        var log = new ListLogger();
        options.Logger = log;

        Assert.Equal(folder, await HubClient.DownloadAsync(LoopbackHub.Id, options));
        Assert.Contains(
            "127.0.0.1 cannot be reached (ConnectionError). The cached '", Assert.Single(log.Messages), StringComparison.Ordinal);
    }

    private sealed class Recorder : IProgress<HubProgress>
    {
        public List<HubProgress> Reports { get; } = [];

        public void Report(HubProgress value) => Reports.Add(value);
    }
}

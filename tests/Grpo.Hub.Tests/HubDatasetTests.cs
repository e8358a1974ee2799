using Grpo.Testing;

namespace Grpo.Hub.Tests;

/// <summary>The parts of a download that differ for a data set: names, places, and the choice of the file.</summary>
[Collection(TimedHub.Name)]
public sealed class HubDatasetTests : IDisposable
{
    private const string Train = "main/train-00000-of-00001.parquet";
    private readonly LoopbackHub _hub = LoopbackHub.WithDataset();
    private readonly TemporaryFolder _cache = new();

    public void Dispose()
    {
        _hub.Dispose();
        _cache.Dispose();
    }

    [Fact]
    public async Task DownloadDatasetAsync_brings_the_one_file_of_the_split_into_the_cache_that_Python_makes()
    {
        string path = await DownloadAsync("train");

        string folder = _cache["datasets--owner--tiny"];
        Assert.Equal(Path.Combine(folder, "snapshots", LoopbackHub.Commit, "main", "train-00000-of-00001.parquet"), path);
        Assert.Equal(_hub.Files[Train], File.ReadAllBytes(path));
        Assert.Equal(LoopbackHub.Commit, File.ReadAllText(Path.Combine(folder, "refs", "main")));
        string hash = LoopbackHub.HashOf(Train, _hub.Files[Train]);
        Assert.Equal([hash], Directory.GetFiles(Path.Combine(folder, "blobs")).Select(Path.GetFileName));
        Assert.True(File.Exists(_cache[Path.Combine(".locks", "datasets--owner--tiny", hash + ".lock")]));
        if (!OperatingSystem.IsWindows())
        {
            Assert.Equal($"../../../blobs/{hash}", new FileInfo(path).LinkTarget);
        }

        string file = $"/datasets/owner/tiny/resolve/{LoopbackHub.Commit}/{Train}";
        Assert.Equal(
            ["GET /api/datasets/owner/tiny/revision/main", $"HEAD {file}", $"GET {file}"],
            _hub.Requests.Select(request => $"{request.Method} {request.Path}"));
    }

    [Fact]
    public async Task DownloadDatasetAsync_adds_the_other_split_to_the_same_snapshot()
    {
        string train = await DownloadAsync("train");
        string test = await DownloadAsync("test");
        _hub.Requests.Clear();

        Assert.Equal(train, await DownloadAsync("train"));

        Assert.Equal(Path.GetDirectoryName(train), Path.GetDirectoryName(test));
        Assert.Equal(_hub.Files["main/test-00000-of-00001.parquet"], File.ReadAllBytes(test));
        Assert.Equal("/api/datasets/owner/tiny/revision/main", Assert.Single(_hub.Requests).Path);
    }

    [Theory]
    [InlineData("train", "train.jsonl", "train.jsonl", "test.jsonl", "train.csv")]
    [InlineData("train", "data/train.jsonl", "data/train.jsonl", "data/train_sft.jsonl", "data/training.jsonl", "data/Train.jsonl")]
    [InlineData("train_sft", "data/train_sft.jsonl", "data/train.jsonl", "data/train_sft.jsonl")]
    [InlineData("test", "default/test-0.parquet", "default/test-0.parquet", "other/test-0.parquet", "test.jsonl")]
    [InlineData("test", "main/test.jsonl", "default/test.jsonl", "main/test.jsonl")]
    [InlineData("test", "other/test.jsonl", "main/train.jsonl", "other/test.jsonl")]
    public async Task DownloadDatasetAsync_chooses_the_file_that_is_named_for_the_split(
        string split, string expected, params string[] files)
    {
        Offer(files);

        string path = await DownloadAsync(split);

        Assert.Equal(_cache[Path.Combine(["datasets--owner--tiny", "snapshots", LoopbackHub.Commit, .. expected.Split('/')])], path);
        Assert.Equal(_hub.Files[expected], File.ReadAllBytes(path));
    }

    [Theory]
    [InlineData("there is no .parquet or .jsonl file. Pass files by hand", "train.csv", "README.md")]
    [InlineData("no file is named for it, only main/test.jsonl, main/training.jsonl.", "main/test.jsonl", "main/training.jsonl")]
    [InlineData(
        "several configurations hold it ('a', 'b/c', the root) and none is called 'main' or 'default'.", "b/c/train.jsonl", "a/train.jsonl",
        "train.jsonl")]
    [InlineData("it lies in several files, which are not joined (main/train-00000-of-00002.parquet, main/train-00001-of-00002.parquet).",
        "main/train-00000-of-00002.parquet", "main/train-00001-of-00002.parquet", "default/train.jsonl")]
    [InlineData("it lies in several files, which are not joined (train-00003-of-00010.parquet).", "train-00003-of-00010.parquet")]
    public async Task DownloadDatasetAsync_says_why_no_file_is_the_split_before_it_downloads(string message, params string[] files)
    {
        Offer(files);

        string actual = await FailAsync("train");

        Assert.Contains("'owner/tiny' does not offer the split 'train' as one file: " + message, actual, StringComparison.Ordinal);
        Assert.Contains(
            "download what you need with 'hf download owner/tiny --repo-type dataset <file> --local-dir <folder>' and give its path",
            actual,
            StringComparison.Ordinal);
        Assert.Single(_hub.Requests);
    }

    [Fact]
    public async Task DownloadDatasetAsync_shortens_a_long_list()
    {
        Offer([.. Enumerable.Range(0, 12).Select(number => $"train-{number:00000}-of-00012.parquet")]);

        Assert.Contains("train-00009-of-00012.parquet … (12 in all)).", await FailAsync("train"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task DownloadDatasetAsync_uses_the_cache_alone_when_offline()
    {
        string path = await DownloadAsync("train");
        _hub.Requests.Clear();

        Assert.Equal(path, await DownloadAsync("train", options => options.Offline = true));

        string message = await FailAsync("test", options => options.Offline = true);
        Assert.Contains(
            "'owner/tiny' is not complete in the cache (missing: the split 'test' as one file in "
            + $"'{Path.GetDirectoryName(Path.GetDirectoryName(path))}': no file is named for it, only "
            + "main/train-00000-of-00001.parquet), and the network is off",
            message,
            StringComparison.Ordinal);
        Assert.Contains(
            "run 'hf download owner/tiny --repo-type dataset --revision main --local-dir <folder>'", message, StringComparison.Ordinal);
        Assert.Contains(
            "/datasets/owner/tiny/tree/main, and give the file of the split 'test' in place of the id.", message, StringComparison.Ordinal);
        Assert.Empty(_hub.Requests);
        File.Delete(_cache[Path.Combine("datasets--owner--tiny", "blobs", LoopbackHub.HashOf(Train, _hub.Files[Train]))]);
        message = await FailAsync("train", options => options.Offline = true);
        if (!OperatingSystem.IsWindows())
        {
            Assert.Contains("there is no .parquet or .jsonl file)", message, StringComparison.Ordinal); // the link stays, to nothing
        }
    }

    [Fact]
    public async Task DownloadDatasetAsync_uses_the_cache_and_warns_when_the_hub_is_down()
    {
        string path = await DownloadAsync("train");
        var log = new ListLogger();
        _hub.Stop();

        Assert.Equal(path, await DownloadAsync("train", options => options.Logger = log));

        Assert.Contains($"The cached '{path}' is used", Assert.Single(log.Messages), StringComparison.Ordinal);
    }

    [Fact]
    public async Task DownloadDatasetAsync_asks_the_hub_which_configuration_is_meant_when_the_cache_holds_another()
    {
        // As Python leaves it when one file was asked for; also at a commit, which never changes.
        string other = Path.Combine(_cache["datasets--owner--tiny"], "snapshots", LoopbackHub.Commit, "socratic");
        Directory.CreateDirectory(other);
        File.WriteAllText(Path.Combine(other, "train-00000-of-00001.parquet"), "");

        string path = await DownloadAsync("train", options => options.Revision = LoopbackHub.Commit);

        Assert.Equal(_hub.Files[Train], File.ReadAllBytes(path));
    }

    [Fact]
    public async Task DownloadDatasetAsync_continues_where_the_connection_to_the_store_was_cut()
    {
        using LoopbackHub store = LoopbackHub.WithDataset();
        _hub.Store = store;
        int number = 0;
        store.Intercept = request => store.Honest(request) with { CutAfter = ++number == 1 ? 100_000 : null };

        string path = await DownloadAsync("train");

        Assert.Equal(_hub.Files[Train], File.ReadAllBytes(path));
        Assert.Equal([null, "bytes=100000-"], store.Requests.Select(request => request.Header("Range")));
    }

    [Fact]
    public async Task DownloadDatasetAsync_deletes_a_file_whose_hash_is_wrong()
    {
        Answer("GET", reply => reply with { Body = [.. reply.Body.Select(value => (byte)(value ^ 1))] });

        string message = await FailAsync("train");

        Assert.Contains($"'{Train}' from 127.0.0.1 has the hash ", message, StringComparison.Ordinal);
        Assert.Contains(
            $"but the hub promised {LoopbackHub.HashOf(Train, _hub.Files[Train])}. It was deleted.", message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(_cache[Path.Combine("datasets--owner--tiny", "blobs")]));
        Assert.False(Directory.Exists(_cache[Path.Combine("datasets--owner--tiny", "snapshots")]));
    }

    [Fact]
    public async Task DownloadDatasetAsync_refuses_a_file_of_more_than_4_GiB_before_it_is_sent()
    {
        Answer("HEAD", reply => reply with { Headers = new(reply.Headers) { ["Content-Length"] = "4294967297" } });

        Assert.Contains(
            $"'{Train}' of 'owner/tiny' has 4294967297 bytes; at most 4294967296 are expected", await FailAsync("train"),
            StringComparison.Ordinal);
        Assert.Empty(_hub.Gets(Train));
    }

    [Fact]
    public async Task DownloadDatasetAsync_names_the_page_on_which_terms_are_accepted()
    {
        _hub.Intercept = _ => new HubReply(403);

        Assert.Contains(
            $"(403): accept the dataset's terms at {_hub.Address}datasets/owner/tiny while logged in", await FailAsync("train"),
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task DownloadDatasetAsync_says_what_an_id_and_a_split_look_like()
    {
        Assert.Contains(
            "'train.jsonl' is not the id of a hub repository. Give owner/name, such as openai/gsm8k, or an existing file.",
            (await Assert.ThrowsAsync<ArgumentException>(() => HubClient.DownloadDatasetAsync("train.jsonl", "train"))).Message,
            StringComparison.Ordinal);
        Assert.Contains(
            "'main/train' is not the name of a split. Give one such as train or test: letters, digits, '_', '-' and '.'.",
            (await Assert.ThrowsAsync<ArgumentException>(() => HubClient.DownloadDatasetAsync("openai/gsm8k", "main/train"))).Message,
            StringComparison.Ordinal);
    }

    private Task<string> DownloadAsync(string split, Action<HubOptions>? configure = null)
    {
        HubOptions options = _hub.Options(_cache);
        configure?.Invoke(options);
        return HubClient.DownloadDatasetAsync(LoopbackHub.Id, split, options);
    }

    private async Task<string> FailAsync(string split, Action<HubOptions>? configure = null) =>
        (await Assert.ThrowsAsync<HubException>(() => DownloadAsync(split, configure))).Message;

    /// <summary>Serves these files and no others, each with its own content.</summary>
    private void Offer(string[] files)
    {
        _hub.Files.Clear();
        for (int i = 0; i < files.Length; i++)
        {
            _hub.Files[files[i]] = LoopbackHub.Bytes(100 + i, seed: i);
        }
    }

    /// <summary>Changes the honest answers about the training split.</summary>
    private void Answer(string method, Func<HubReply, HubReply> change) =>
        _hub.Intercept = request => request.Method == method && request.Path.EndsWith(Train, StringComparison.Ordinal)
            ? change(_hub.Honest(request))
            : null;
}

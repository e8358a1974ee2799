using Grpo.Testing;

namespace Grpo.Hub.Tests;

/// <summary>A cache into which somebody planted links, or whose files are no longer those that were downloaded.</summary>
[Collection(TimedHub.Name)]
public sealed class HubCacheTrustTests : IDisposable
{
    private const string Weights = "model.safetensors";
    private const string Model = "models--owner--tiny";

    private readonly LoopbackHub _hub = LoopbackHub.WithModel();
    private readonly TemporaryFolder _cache = new();
    private readonly TemporaryFolder _outside = new();
    private readonly ListLogger _log = new();

    public void Dispose()
    {
        _hub.Dispose();
        _cache.Dispose();
        _outside.Dispose();
    }

    private string Hash => LoopbackHub.HashOf(Weights, _hub.Files[Weights]);

    // "{hash}" and "{commit}" stand for those of the weights. A file of the same content lies outside under each name.
    [LinkTheory]
    [InlineData(Model)]
    [InlineData(Model + "/blobs")]
    [InlineData(Model + "/blobs/{hash}")]
    [InlineData(Model + "/blobs/{hash}.incomplete")]
    [InlineData(Model + "/refs")]
    [InlineData(Model + "/refs/main")]
    [InlineData(Model + "/snapshots")]
    [InlineData(Model + "/snapshots/{commit}")]
    [InlineData(Model + "/snapshots/{commit}/" + Weights)]
    [InlineData(".locks")]
    [InlineData(".locks/" + Model)]
    [InlineData(".locks/" + Model + "/{hash}.lock")]
    public async Task DownloadAsync_refuses_a_planted_link(string planted)
    {
        string link = Place(planted);
        string victim = Lay(Path.GetFileName(link));
        Links.Plant(link, victim);
        Dictionary<string, string> before = Outside();

        string message = await FailAsync();

        Assert.Contains($"'{link}' in the cache is a link to '{victim}'", message, StringComparison.Ordinal);
        Assert.Contains("Remove it", message, StringComparison.Ordinal);
        Assert.Equal(before, Outside());
    }

    [LinkTheory]
    [InlineData(Model + "/blobs/{hash}.incomplete")]
    [InlineData(Model + "/snapshots/{commit}/" + Weights)]
    [InlineData(Model + "/refs/main")]
    [InlineData(".locks/" + Model + "/{hash}.lock")]
    public async Task DownloadAsync_makes_no_file_behind_a_link_to_nothing(string planted)
    {
        string link = Place(planted);
        Links.Plant(link, _outside["made"]);

        Assert.Contains($"'{link}' in the cache is a link", await FailAsync(), StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateFileSystemEntries(_outside.Path));
    }

    [LinkTheory]
    [InlineData(Model + "/blobs/{hash}")]
    [InlineData(Model + "/refs/main")]
    [InlineData(Model + "/snapshots/{commit}")]
    [InlineData(Model + "/snapshots/{commit}/" + Weights)]
    [InlineData(Model + "/snapshots/{commit}/generation_config.json")]
    public async Task DownloadAsync_reads_nothing_behind_a_planted_link_offline(string planted)
    {
        await DownloadAsync();
        string link = Place(planted);
        Links.Plant(link, Lay(Path.GetFileName(link)));

        Assert.Contains($"'{link}' in the cache is a link", await FailAsync(options => options.Offline = true), StringComparison.Ordinal);
    }

    [LinkTheory]
    [InlineData("../../refs/main")]                                          // inside of the repository's folder, but no blob
    [InlineData("../../blobs/../../../elsewhere")]
    [InlineData("../../../models--other--one/blobs/{hash}")]
    [InlineData("../../blobs/detour/../{hash}")]
    public async Task DownloadAsync_refuses_a_snapshot_that_shows_anything_but_a_blob_of_its_own(string target)
    {
        await DownloadAsync();
        Directory.CreateDirectory(_cache["models--other--one/blobs"]);
        File.WriteAllBytes(_cache[$"models--other--one/blobs/{Hash}"], _hub.Files[Weights]);
        File.CreateSymbolicLink(Place(Model + "/blobs/detour"), _outside.Path);
        string link = Place(Model + "/snapshots/{commit}/" + Weights);
        Links.Plant(link, target.Replace("{hash}", Hash, StringComparison.Ordinal));

        Assert.Contains($"'{link}' in the cache is a link", await FailAsync(), StringComparison.Ordinal);
    }

    [LinkTheory]
    [InlineData("cache")]
    public async Task DownloadAsync_accepts_a_cache_that_is_itself_a_link(string name)
    {
        string cache = _outside[name];
        File.CreateSymbolicLink(cache, _cache.Path);

        string folder = await DownloadAsync(options => options.CacheDirectory = cache);
        string again = await DownloadAsync(options => (options.CacheDirectory, options.Offline) = (cache, true));

        Assert.Equal(folder, again);
        Assert.Equal(_hub.Files[Weights], File.ReadAllBytes(Path.Combine(folder, Weights)));
    }

    [Theory]
    [InlineData(Weights, "flipped")]
    [InlineData(Weights, "cut")]
    [InlineData(Weights, "longer")]
    [InlineData("config.json", "flipped")]                                   // named by git's SHA-1
    [InlineData("generation_config.json", "flipped")]                        // a model can do without it
    public async Task DownloadAsync_fetches_a_damaged_file_again_and_says_so(string file, string damage)
    {
        string folder = await DownloadAsync();
        Damage(file, damage);
        _hub.Requests.Clear();

        Assert.Equal(folder, await DownloadAsync(options => options.Logger = _log));

        Assert.Equal(_hub.Files[file], File.ReadAllBytes(Path.Combine(folder, file)));
        Assert.Single(_hub.Requests, request => request.Method == "GET" && !request.Path.StartsWith("/api/", StringComparison.Ordinal));
        Assert.Contains($"'{file}' in the cache is damaged", Assert.Single(_log.Messages), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(Weights, "flipped")]
    [InlineData("merges.txt", "cut")]
    [InlineData("generation_config.json", "flipped")]
    public async Task DownloadAsync_refuses_a_damaged_file_offline(string file, string damage)
    {
        await DownloadAsync();
        Damage(file, damage);

        string message = await FailAsync(options => options.Offline = true);

        Assert.Contains($"missing: {file} (damaged: its content does not have the right hash)", message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task DownloadAsync_does_not_take_a_blob_of_the_right_size()
    {
        string blob = Place(Model + "/blobs/{hash}");
        Directory.CreateDirectory(Path.GetDirectoryName(blob)!);
        File.WriteAllBytes(blob, new byte[_hub.Files[Weights].Length]);

        string folder = await DownloadAsync();

        Assert.Equal(_hub.Files[Weights], File.ReadAllBytes(Path.Combine(folder, Weights)));
    }

    [Fact]
    public async Task DownloadAsync_takes_a_blob_of_the_right_hash_without_asking_again()
    {
        string blob = Place(Model + "/blobs/{hash}");
        Directory.CreateDirectory(Path.GetDirectoryName(blob)!);
        File.WriteAllBytes(blob, _hub.Files[Weights]);

        string folder = await DownloadAsync();

        Assert.Equal(_hub.Files[Weights], File.ReadAllBytes(Path.Combine(folder, Weights)));
        Assert.Empty(_hub.Gets(Weights));
    }

    // Windows without links keeps files in the snapshot itself, under no hash: the hub says what they must be.
    [Theory]
    [InlineData(false, 0)]
    [InlineData(true, 1)]
    public async Task DownloadAsync_compares_a_file_without_a_hash_with_the_hubs(bool isDamaged, int fetched)
    {
        string folder = await DownloadAsync();
        string path = Path.Combine(folder, Weights);
        File.Delete(path);
        File.WriteAllBytes(path, isDamaged ? new byte[_hub.Files[Weights].Length] : _hub.Files[Weights]);
        File.Delete(Place(Model + "/blobs/{hash}"));
        _hub.Requests.Clear();

        await DownloadAsync(options => options.Revision = LoopbackHub.Commit);

        Assert.Equal(_hub.Files[Weights], File.ReadAllBytes(path));
        Assert.Equal(fetched, _hub.Gets(Weights).Count());
    }

    [Fact]
    public async Task DownloadAsync_says_what_it_could_not_check_offline()
    {
        string folder = await DownloadAsync();
        string path = Path.Combine(folder, Weights);
        File.Delete(path);
        File.WriteAllBytes(path, _hub.Files[Weights]);

        Assert.Equal(folder, await DownloadAsync(options => (options.Offline, options.Logger) = (true, _log)));

        Assert.Contains(
            $"'{folder}' holds files and no links to blobs, so there is no hash to check them with.", Assert.Single(_log.Messages),
            StringComparison.Ordinal);
    }

    private string Place(string name) => _cache[Path.Combine(name.Split('/'))
        .Replace("{hash}", Hash, StringComparison.Ordinal).Replace("{commit}", LoopbackHub.Commit, StringComparison.Ordinal)];

    /// <summary>A file outside of the cache, or for a name without a file a folder with one.</summary>
    private string Lay(string name)
    {
        string path = _outside["of-a-victim"];
        if (name == "main")
        {
            File.WriteAllText(path, LoopbackHub.Commit);
        }
        else if (name == Weights || name == "generation_config.json" || name.StartsWith(Hash, StringComparison.Ordinal))
        {
            File.WriteAllBytes(path, _hub.Files[name == "generation_config.json" ? name : Weights]);
        }
        else
        {
            Directory.CreateDirectory(path);
            File.WriteAllText(Path.Combine(path, "note"), "mine");
        }

        return path;
    }

    private Dictionary<string, string> Outside() => Directory.EnumerateFiles(_outside.Path, "*", SearchOption.AllDirectories)
        .ToDictionary(path => path, path => Convert.ToHexString(File.ReadAllBytes(path)));

    private void Damage(string file, string damage)
    {
        string path = _cache[Path.Combine(Model, "blobs", LoopbackHub.HashOf(file, _hub.Files[file]))];
        byte[] content = File.ReadAllBytes(path);
        content[content.Length / 2] ^= (byte)(damage == "flipped" ? 1 : 0);
        File.WriteAllBytes(path, damage == "cut" ? content[..^1] : damage == "longer" ? [.. content, 0] : content);
    }

    private Task<string> DownloadAsync(Action<HubOptions>? configure = null)
    {
        HubOptions options = _hub.Options(_cache);
        configure?.Invoke(options);
        return HubClient.DownloadAsync(LoopbackHub.Id, options);
    }

    private async Task<string> FailAsync(Action<HubOptions>? configure = null) =>
        (await Assert.ThrowsAsync<HubException>(() => DownloadAsync(configure))).Message;
}

using System.Globalization;
using System.Text.Json;
using Grpo.Checkpoints;
using Microsoft.Extensions.Logging;

namespace Grpo.Core.Tests.Checkpoints;

public sealed class DirectoryCheckpointStoreTests : IDisposable
{
    private readonly ScratchFolder _folder = new();
    private readonly ListLogger _log = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task SaveAsync_names_the_folder_by_step_and_lists_its_files()
    {
        string saved = await Store().SaveAsync(123, folder =>
        {
            File.WriteAllText(Path.Combine(folder, "weights.bin"), "abc");
            Directory.CreateDirectory(Path.Combine(folder, "state", "inner"));
            File.WriteAllText(Path.Combine(folder, "state", "inner", "empty"), "");
        });
        Assert.Equal(_folder["checkpoint-000123"], saved);
        Assert.Equal([saved], Directory.GetFileSystemEntries(_folder.Root));
        string json = File.ReadAllText(Path.Combine(saved, "checkpoint.json"));
        JsonElement manifest = JsonDocument.Parse(json).RootElement;
        Assert.Equal(1, manifest.GetProperty("format_version").GetInt32());
        Assert.Equal(123, manifest.GetProperty("step").GetInt64());
        JsonElement[] files = [.. manifest.GetProperty("files").EnumerateArray()];
        Assert.Equal(["state/inner/empty", "weights.bin"], files.Select(file => file.GetProperty("path").GetString()!));
        Assert.Equal([0, 3], files.Select(file => file.GetProperty("size").GetInt64()));
        Assert.Equal(                                                    // SHA-256 of "abc", FIPS 180-4's own example
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", files[1].GetProperty("sha256").GetString());
    }

    [Fact]
    public async Task FindLatestAsync_is_null_when_nothing_was_saved()
    {
        Assert.Null(await Store().FindLatestAsync());
        Assert.Null(await new DirectoryCheckpointStore(_folder["missing"]).FindLatestAsync());
        Assert.False(Directory.Exists(_folder["missing"]));
    }

    [Fact]
    public async Task FindLatestAsync_compares_steps_as_numbers_and_ignores_other_names()
    {
        DirectoryCheckpointStore store = Store();
        await Save(store, 999_999);
        string newest = await Save(store, 1_000_000);
        foreach (string name in (string[])["checkpoint-2000000x", "checkpoint-", "checkpoint-+2000000", "checkpoint-0002000000",
            "checkpoint-99999999999999999999", "other"])
        {
            Directory.CreateDirectory(_folder[name]);
        }

        Assert.Equal(newest, await store.FindLatestAsync());
        Assert.Empty(_log.Warnings);
    }

    [Theory]
    [InlineData("the content of 'weights.bin' is not what was saved")]
    [InlineData("'weights.bin' has 7 bytes instead of 8")]
    [InlineData("'weights.bin' is missing")]
    [InlineData("it has no checkpoint.json, so it was not completed")]
    [InlineData("its manifest is of step 3")]
    [InlineData("its format version is 2; this version reads 1")]
    [InlineData("its manifest names a file outside the checkpoint: '../checkpoint-000001/weights.bin'")]
    [InlineData("JSON")]
    [InlineData("its manifest names a file outside the checkpoint: ''")]
    public async Task FindLatestAsync_skips_a_damaged_checkpoint_and_says_why(string problem)
    {
        DirectoryCheckpointStore store = Store();
        string good = await Save(store, 1);
        string damaged = await Save(store, 2);
        string weights = Path.Combine(damaged, "weights.bin");
        string manifest = Path.Combine(damaged, "checkpoint.json");
        switch (problem)
        {
            case "the content of 'weights.bin' is not what was saved": File.WriteAllText(weights, "weightz2"); break;
            case "'weights.bin' has 7 bytes instead of 8": File.WriteAllText(weights, "weights"); break;
            case "'weights.bin' is missing": File.Delete(weights); break;
            case "it has no checkpoint.json, so it was not completed": File.Delete(manifest); break;
            case "its manifest is of step 3": Replace(manifest, "\"step\": 2", "\"step\": 3"); break;
            case "its format version is 2; this version reads 1":
                Replace(manifest, "\"format_version\": 1", "\"format_version\": 2"); break;
            case "JSON": File.WriteAllText(manifest, """{"format_version":1,"step":2}"""); break;
            case "its manifest names a file outside the checkpoint: ''":
                File.WriteAllText(manifest, """{"format_version":1,"step":2,"files":[null]}"""); break;
            default: Replace(manifest, "weights.bin", "../checkpoint-000001/weights.bin"); break;
        }

        Assert.Equal(good, await store.FindLatestAsync());
        string warning = Assert.Single(_log.Warnings);
        Assert.Contains(damaged, warning, StringComparison.Ordinal);
        Assert.Contains(problem, warning, StringComparison.Ordinal);
        Assert.True(Directory.Exists(damaged), "a damaged checkpoint is left for its owner to look at");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task SaveAsync_leaves_no_trace_when_the_callback_fails(bool sameStep)
    {
        DirectoryCheckpointStore store = Store();
        string earlier = await Save(store, 1);
        var error = await Assert.ThrowsAsync<InvalidOperationException>(async () => await store.SaveAsync(sameStep ? 1 : 2, folder =>
        {
            File.WriteAllText(Path.Combine(folder, "half"), "x");
            throw new InvalidOperationException("the callback's own");
        }));
        Assert.Equal("the callback's own", error.Message);
        Assert.Equal([earlier], Directory.GetFileSystemEntries(_folder.Root));
        Assert.Equal(earlier, await store.FindLatestAsync());
        Assert.Empty(_log.Warnings);
    }

    [Fact]
    public async Task SaveAsync_refuses_an_empty_checkpoint_a_link_and_a_file_in_the_manifests_name()
    {
        DirectoryCheckpointStore store = Store();
        await AssertRefused("is empty: the callback wrote no file", _ => { });
        await AssertRefused(
            "holds a file named checkpoint.json", folder => File.WriteAllText(Path.Combine(folder, "checkpoint.json"), "{}"));
        if (!OperatingSystem.IsWindows())
        {
            await AssertRefused("is a link", folder => File.CreateSymbolicLink(Path.Combine(folder, "link"), "/dev/zero"));
        }

        Assert.Empty(Directory.GetFileSystemEntries(_folder.Root));

        async Task AssertRefused(string expected, Action<string> write)
        {
            var error = await Assert.ThrowsAsync<InvalidOperationException>(async () => await store.SaveAsync(1, write));
            Assert.Contains(expected, error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task SaveAsync_replaces_a_checkpoint_of_the_same_step()
    {
        DirectoryCheckpointStore store = Store();
        await Save(store, 5, "first");
        string saved = await Save(store, 5, "second");
        Assert.Equal("second", File.ReadAllText(Path.Combine(saved, "weights.bin")));
        Assert.Equal([saved], Directory.GetFileSystemEntries(_folder.Root));
        Assert.Equal(saved, await store.FindLatestAsync());
    }

    [Fact]
    public async Task SaveAsync_keeps_the_newest_and_removes_older_ones()
    {
        DirectoryCheckpointStore store = Store(keepLast: 2);
        foreach (long step in (long[])[10, 20, 30, 40])
        {
            await Save(store, step);
        }

        Assert.Equal(["checkpoint-000030", "checkpoint-000040"], Names());
    }

    [Fact]
    public async Task SaveAsync_does_not_count_damaged_checkpoints_and_leaves_higher_steps_alone()
    {
        DirectoryCheckpointStore store = Store(keepLast: 2);
        await Save(store, 10);
        await Save(store, 20);
        File.Delete(_folder["checkpoint-000020", "weights.bin"]);
        await Save(Store(keepLast: 9), 90);
        await Save(store, 30);
        Assert.Equal(["checkpoint-000010", "checkpoint-000020", "checkpoint-000030", "checkpoint-000090"], Names());
        await Save(store, 40);
        Assert.Equal(["checkpoint-000030", "checkpoint-000040", "checkpoint-000090"], Names());
    }

    [Fact]
    public async Task SaveAsync_with_keepLast_1_never_removes_what_it_just_saved()
    {
        DirectoryCheckpointStore store = Store(keepLast: 1);
        await Save(store, 50);
        await Save(store, 20);
        Assert.Equal(["checkpoint-000020", "checkpoint-000050"], Names());
    }

    [Fact]
    public async Task SaveAsync_removes_nothing_when_it_fails()
    {
        DirectoryCheckpointStore store = Store(keepLast: 1);
        await Save(store, 1);
        await Assert.ThrowsAsync<InvalidOperationException>(async () => await store.SaveAsync(2, _ => { }));
        Assert.Equal(["checkpoint-000001"], Names());
    }

    [Fact]
    public async Task FindLatestAsync_removes_leftovers_but_not_the_folder_of_a_running_save()
    {
        DirectoryCheckpointStore store = Store();
        string leftover = _folder[".tmp-0123"];
        Directory.CreateDirectory(leftover);
        File.WriteAllText(Path.Combine(leftover, "half"), "x");
        File.WriteAllText(_folder[".tmp-0123.lock"], "");
        File.WriteAllText(_folder[".tmp-4567.lock"], "");
        string saved = await store.SaveAsync(1, folder =>
        {
            File.WriteAllText(Path.Combine(folder, "weights.bin"), "x");
            Assert.Null(Store().FindLatestAsync().AsTask().GetAwaiter().GetResult());
            Assert.False(Directory.Exists(leftover));
            Assert.True(File.Exists(Path.Combine(folder, "weights.bin")));
        });
        Assert.Equal(saved, await store.FindLatestAsync());
        Assert.Equal([saved], Directory.GetFileSystemEntries(_folder.Root));
    }

    [Theory]
    [InlineData("flushed")]
    [InlineData("replacing")]
    public async Task FindLatestAsync_puts_a_checkpoint_in_place_whose_save_ended_before_the_rename(string stage)
    {
        // A copy of the folder as it is at that moment is what a killed process leaves behind.
        DirectoryCheckpointStore store = Store();
        await Save(store, 4, "earlier!");
        string killed = _folder["..", Path.GetFileName(_folder.Root) + "-killed"];
        try
        {
            store.Probe = now =>
            {
                if (now == stage)
                {
                    CopyFolder(_folder.Root, killed);
                }
            };
            await Save(store, stage == "flushed" ? 5 : 4, "finished");

            string? latest = await new DirectoryCheckpointStore(killed).FindLatestAsync();

            Assert.Equal(Path.Combine(Path.GetFullPath(killed), stage == "flushed" ? "checkpoint-000005" : "checkpoint-000004"), latest);
            Assert.Contains(
                File.ReadAllText(Path.Combine(latest!, "weights.bin")),
                stage == "flushed" ? ["finished"] : new[] { "finished", "earlier!" });
            Assert.DoesNotContain(
                Directory.GetFileSystemEntries(killed), path => Path.GetFileName(path).StartsWith(".tmp-", StringComparison.Ordinal));
        }
        finally
        {
            Directory.Delete(killed, recursive: true);
        }
    }

    private static void CopyFolder(string from, string to)
    {
        foreach (string file in Directory.GetFiles(from, "*", SearchOption.AllDirectories)
            .Where(file => !file.EndsWith(".lock", StringComparison.Ordinal)))
        {
            string target = Path.Combine(to, Path.GetRelativePath(from, file));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(file, target);
        }
    }

    [Fact]
    public async Task SaveAsync_says_what_to_do_when_the_root_cannot_be_written_to()
    {
        string blocked = _folder["file"];
        File.WriteAllText(blocked, "");
        bool called = false;
        var error = await Assert.ThrowsAsync<IOException>(
            async () => await new DirectoryCheckpointStore(blocked).SaveAsync(1, _ => called = true));
        Assert.StartsWith($"Cannot save checkpoints in '{blocked}': ", error.Message, StringComparison.Ordinal);
        Assert.EndsWith("Choose a folder that can be written to.", error.Message, StringComparison.Ordinal);
        Assert.NotNull(error.InnerException);
        Assert.False(called);
    }

    [Fact]
    public async Task Calls_stop_before_anything_is_written_when_canceled()
    {
        using var canceled = new CancellationTokenSource();
        await canceled.CancelAsync();
        DirectoryCheckpointStore store = Store();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await store.SaveAsync(1, _ => { }, canceled.Token));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await store.FindLatestAsync(canceled.Token));
        Assert.Empty(Directory.GetFileSystemEntries(_folder.Root));
    }

    [Fact]
    public async Task Arguments_are_checked()
    {
        Assert.Throws<ArgumentOutOfRangeException>("keepLast", () => new DirectoryCheckpointStore(_folder.Root, keepLast: 0));
        Assert.Throws<ArgumentException>("root", () => new DirectoryCheckpointStore(" "));
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>("step", async () => await Store().SaveAsync(-1, _ => { }));
    }

    [Fact]
    public async Task SaveAsync_does_not_depend_on_the_culture()
    {
        CultureInfo before = CultureInfo.CurrentCulture;
        try
        {
            CultureInfo.CurrentCulture = new CultureInfo("ar-SA");
            string saved = await Save(Store(), 1234);
            Assert.Equal("checkpoint-001234", Path.GetFileName(saved));
            Assert.Equal(saved, await Store().FindLatestAsync());
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }

    private static ValueTask<string> Save(DirectoryCheckpointStore store, long step, string? content = null) => store.SaveAsync(
        step, folder => File.WriteAllText(Path.Combine(folder, "weights.bin"), content ?? $"weights{step % 10}"));

    private static void Replace(string file, string from, string to)
    {
        string text = File.ReadAllText(file);
        Assert.Contains(from, text, StringComparison.Ordinal);
        File.WriteAllText(file, text.Replace(from, to, StringComparison.Ordinal));
    }

    private string[] Names() =>
        [.. Directory.GetFileSystemEntries(_folder.Root).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)];

    private DirectoryCheckpointStore Store(int keepLast = 3) => new(_folder.Root, keepLast, _log);

    private sealed class ListLogger : ILogger<DirectoryCheckpointStore>
    {
        public List<string> Warnings { get; } = [];

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (logLevel == LogLevel.Warning)
            {
                Warnings.Add(formatter(state, exception));
            }
        }
    }
}

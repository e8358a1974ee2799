using Grpo.Checkpoints;

namespace Grpo.Core.Tests.Checkpoints;

public sealed class BestMarkTests : IDisposable
{
    private readonly ScratchFolder _folder = new();
    private readonly ListLogger<DirectoryCheckpointStore> _log = new();

    [Fact]
    public async Task SaveAsync_keeps_the_best_besides_the_newest()
    {
        DirectoryCheckpointStore store = Store(keepLast: 2);
        await SaveAsync(store, 10, 20);
        Assert.Equal(_folder["checkpoint-000010"], await store.MarkBestAsync(10));
        await SaveAsync(store, 30, 40, 50);
        Assert.Equal(["best.json", "checkpoint-000010", "checkpoint-000040", "checkpoint-000050"], Names());
        Assert.Equal(_folder["checkpoint-000010"], await store.FindBestAsync());
        Assert.Equal(_folder["checkpoint-000050"], await store.FindLatestAsync());
    }

    [Fact]
    public async Task SaveAsync_removes_what_was_the_best_once_another_is_and_counts_the_best_among_the_newest()
    {
        DirectoryCheckpointStore store = Store(keepLast: 2);
        await SaveAsync(store, 10);
        await store.MarkBestAsync(10);
        await SaveAsync(store, 20, 30);
        Assert.Equal(_folder["checkpoint-000030"], await store.MarkBestAsync(30));
        await SaveAsync(store, 40);
        Assert.Equal(["best.json", "checkpoint-000030", "checkpoint-000040"], Names());
    }

    [Fact]
    public async Task MarkBestAsync_leaves_the_mark_when_there_is_no_such_checkpoint()
    {
        DirectoryCheckpointStore store = Store();
        Assert.Null(await store.FindBestAsync());
        Assert.Null(await store.MarkBestAsync(10));
        await SaveAsync(store, 10, 20);
        await store.MarkBestAsync(10);
        File.Delete(Path.Combine(_folder["checkpoint-000020"], "weights.bin"));
        Assert.Null(await store.MarkBestAsync(20));
        Assert.Null(await store.MarkBestAsync(30));
        Assert.Equal(_folder["checkpoint-000010"], await Store().FindBestAsync());
    }

    [Fact]
    public async Task FindBestAsync_is_null_and_warns_when_the_content_is_not_what_was_saved()
    {
        DirectoryCheckpointStore store = Store();
        await SaveAsync(store, 10);
        await store.MarkBestAsync(10);
        File.WriteAllText(Path.Combine(_folder["checkpoint-000010"], "weights.bin"), "weights11");
        Assert.Null(await store.FindBestAsync());
        Assert.Contains(
            _log.Entries,
            entry => entry.Id == 61 && entry.Text.Contains("the content of 'weights.bin' is not what was saved", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("", "The input does not contain any JSON tokens")]
    [InlineData("null", "it holds null")]
    [InlineData("{\"format_version\":1,\"folder\":\"x\"}", "was missing required properties")]
    [InlineData("{\"format_version\":2,\"step\":10,\"folder\":\"x\"}", "its format version is 2; this version reads 1")]
    [InlineData("{\"format_version\":1,\"step\":-1,\"folder\":\"x\"}", "its step is -1")]
    public async Task A_damaged_mark_is_reported_removes_nothing_and_is_repaired_by_the_next(string mark, string problem)
    {
        DirectoryCheckpointStore store = Store(keepLast: 1);
        await SaveAsync(store, 10);
        await store.MarkBestAsync(10);
        File.WriteAllText(_folder["best.json"], mark);
        Assert.Null(await store.FindBestAsync());
        Assert.Contains(_log.Entries, entry => entry.Id == 66 && entry.Text.Contains(problem, StringComparison.Ordinal));

        await SaveAsync(store, 20, 30);
        Assert.Equal(["best.json", "checkpoint-000010", "checkpoint-000020", "checkpoint-000030"], Names()); // any of them may be the best
        Assert.Equal(_folder["checkpoint-000010"], await store.MarkBestAsync(10));
        await SaveAsync(store, 40);
        Assert.Equal(["best.json", "checkpoint-000010", "checkpoint-000040"], Names());
    }

    [Fact]
    public async Task FindLatestAsync_removes_the_mark_that_a_crash_left_half_written()
    {
        await SaveAsync(Store(), 10);
        File.WriteAllText(_folder[".tmp-0123"], "{");
        await Store().FindLatestAsync();
        Assert.Equal(["checkpoint-000010"], Names());
    }

    [Fact]
    public async Task Arguments_are_checked()
    {
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>("step", async () => await Store().MarkBestAsync(-1));
        var canceled = new CancellationToken(canceled: true);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await Store().MarkBestAsync(1, canceled));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await Store().FindBestAsync(canceled));
    }

    public void Dispose() => _folder.Dispose();

    private static async Task SaveAsync(DirectoryCheckpointStore store, params IReadOnlyList<long> steps)
    {
        foreach (long step in steps)
        {
            await store.SaveAsync(
                step, folder => File.WriteAllText(Path.Combine(folder, "weights.bin"), FormattableString.Invariant($"weights{step}")));
        }
    }

    private string[] Names() =>
        [.. Directory.GetFileSystemEntries(_folder.Root).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)];

    private DirectoryCheckpointStore Store(int keepLast = 3) => new(_folder.Root, keepLast, _log);
}

using Grpo.Checkpoints;
using Grpo.KilledRun;
using Grpo.Testing;
using Grpo.Training;
using Microsoft.Extensions.Logging;

namespace Grpo.Core.Tests.Checkpoints;

/// <summary>One byte of the newest checkpoint is wrong or missing: it is found, named, and the checkpoint before is used.</summary>
[Trait("Speed", "Slow")]
public sealed class DamagedCheckpointTests : IAsyncLifetime, IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly ListLogger<DirectoryCheckpointStore> _log = new();
    private string _root = "";
    private string _newest = "";

    public async Task InitializeAsync()
    {
        using (var run = new SmallRun(_folder.Path))
        {
            await run.TrainAsync();
        }

        _root = _folder["checkpoints"];
        _newest = Path.Combine(_root, "checkpoint-000009");
    }

    public Task DisposeAsync() => Task.CompletedTask;

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task FindLatestAsync_passes_over_a_checkpoint_of_which_one_byte_is_wrong()
    {
        string[] files = [.. Directory.GetFiles(_newest).Order(StringComparer.Ordinal)];
        Assert.Equal(
            [
                "bigram.safetensors", "checkpoint.json", "grpo_state.json", "log_counts.json", "optimizer.safetensors",
                "reference.safetensors", "run_options.json", "trainer_state.json",
            ],
            files.Select(Path.GetFileName));
        int positions = 0;
        foreach (string file in files)
        {
            byte[] bytes = File.ReadAllBytes(file);
            bool all = Path.GetFileName(file) == "checkpoint.json"; // no hash guards the manifest: each of its bits must
            for (int i = 0; i < bytes.Length; i += all ? 1 : Math.Max(1, bytes.Length / 40))
            {
                for (int bit = all ? 0 : i % 8; bit < (all ? 8 : (i % 8) + 1); bit++)
                {
                    byte[] damaged = [.. bytes];
                    damaged[i] ^= (byte)(1 << bit);
                    await RequireAsync(file, damaged, $"{Path.GetFileName(file)}, byte {i}, bit {bit}");
                    positions++;
                }
            }

            File.WriteAllBytes(file, bytes);
        }

        Assert.True(positions > 2000, $"{positions} positions.");
        Assert.Equal(_newest, await Store().FindLatestAsync());
    }

    [Fact]
    public async Task FindLatestAsync_passes_over_a_checkpoint_of_which_a_file_is_cut_short()
    {
        int cuts = 0;
        foreach (string file in Directory.GetFiles(_newest))
        {
            byte[] bytes = File.ReadAllBytes(file);
            for (int length = 0; length < bytes.Length; length += Math.Max(1, bytes.Length / 40))
            {
                await RequireAsync(file, bytes[..length], $"{Path.GetFileName(file)}, {length} bytes");
                cuts++;
            }

            await RequireAsync(file, bytes[..^1], $"{Path.GetFileName(file)}, all but one byte");
            File.WriteAllBytes(file, bytes);
        }

        Assert.True(cuts > 200, $"{cuts} cuts.");
        Assert.Equal(_newest, await Store().FindLatestAsync());
    }

    [Fact]
    public async Task A_run_resumed_over_a_damaged_checkpoint_ends_as_it_did_before()
    {
        string weights = Path.Combine(_newest, "bigram.safetensors");
        byte[] expected = File.ReadAllBytes(weights), damaged = [.. expected];
        damaged[^7] ^= 16;
        File.WriteAllBytes(weights, damaged);
        string[] metrics = Steps();

        using var rest = new SmallRun(_folder.Path, logger: _log);
        TrainingSummary summary = await rest.TrainAsync();

        Assert.Equal(1, summary.Steps); // from the checkpoint of step 8
        Assert.Equal(expected, File.ReadAllBytes(weights));
        Assert.Equal(metrics, Steps());
        Assert.Contains(
            _log.Entries,
            entry => entry.Level == LogLevel.Warning && entry.Text.Contains("'bigram.safetensors'", StringComparison.Ordinal));
    }

    [Fact]
    public async Task FindLatestAsync_refuses_when_every_checkpoint_is_damaged()
    {
        string[] checkpoints = [.. Directory.GetDirectories(_root).Order(StringComparer.Ordinal)];
        Assert.All(checkpoints, checkpoint => File.Delete(Path.Combine(checkpoint, "grpo_state.json")));

        var error = await Assert.ThrowsAsync<InvalidDataException>(async () => await Store().FindLatestAsync());

        Assert.StartsWith(
            $"Every checkpoint in '{_root}' is damaged (checkpoint-000009: 'grpo_state.json' is missing; ", error.Message,
            StringComparison.Ordinal);
        Assert.All(checkpoints, checkpoint => Assert.True(Directory.Exists(checkpoint)));
    }

    private async Task RequireAsync(string file, byte[] content, string what)
    {
        File.WriteAllBytes(file, content);
        _log.Entries.Clear();
        string? found = await Store().FindLatestAsync();
        Assert.True(found == Path.Combine(_root, "checkpoint-000008"), $"{what}: {found} was used.");
        (LogLevel level, _, string text) = Assert.Single(_log.Entries);
        Assert.Equal(LogLevel.Warning, level);
        Assert.StartsWith($"Skipped the damaged checkpoint {_newest}: ", text, StringComparison.Ordinal);
    }

    private DirectoryCheckpointStore Store() => new(_root, logger: _log);

    private string[] Steps() =>
        [.. File.ReadLines(_folder["metrics.jsonl"]).Select(line => line[..line.IndexOf(',', StringComparison.Ordinal)])];
}

using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Xunit.Abstractions;

namespace Grpo.EndToEnd.Tests;

/// <summary>
/// The sample under SIGTERM and Ctrl-C: interrupted again and again it loses nothing. GRPO_SIGNALS is the number of interruptions; docs/reliability.md
/// has the result of 60.
/// </summary>
public sealed class SampleSignalTests(ITestOutputHelper output) : IDisposable
{
    private const int Stop = 19; // SIGSTOP and SIGCONT on Linux
    private const int Continue = 18;
    private const int ShortCycles = 4;

    private static readonly string[] Settings =
        ["--prompts-per-step", "4", "--group-size", "8", "--max-completion-tokens", "48", "--eval-count", "16", "--evaluate-every", "3", "--checkpoint-every", "5"];

    private readonly string _folder = Directory.CreateTempSubdirectory("grpo-signals-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [UnixFact]
    public async Task A_run_that_is_interrupted_again_and_again_equals_one_that_is_not()
    {
        int cycles = int.TryParse(Environment.GetEnvironmentVariable("GRPO_SIGNALS"), NumberStyles.None, CultureInfo.InvariantCulture, out int given) ? given : ShortCycles;
        string steps = (3 * cycles).ToString(CultureInfo.InvariantCulture);
        string whole = Path.Combine(_folder, "whole"), interrupted = Path.Combine(_folder, "interrupted");
        (await SampleProcess.RunAsync("Gsm8k", ["--steps", steps, "--output", whole, .. Settings])).Succeeded();

        for (int cycle = 0; cycle < cycles; cycle++)
        {
            using SignalledSample sample = SignalledSample.Start("Gsm8k", ["--steps", steps, "--output", interrupted, .. Settings]);
            // Right after the start, or after the first step that it does; each time a little later. That is in the first evaluation, in a
            // rollout, in an update, in a later evaluation or in a checkpoint.
            string moment = cycle % 2 == 0 ? "Training " : "tokens/s  left";
            int wait = (int)(300 * CounterRandom.Uniform(8, cycle));
            Assert.True(await sample.HasSaidAsync(moment), $"Cycle {cycle} ended before '{moment}':\n{sample.Output}");
            await Task.Delay(wait);
            var clock = Stopwatch.StartNew();
            sample.Signal(SampleProcess.Terminate);
            int code = await sample.EndAsync();
            output.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"| {cycle + 1} | {wait} ms after '{moment.Trim()}' | {code} | {clock.ElapsedMilliseconds} ms | {Steps(interrupted).LastOrDefault()} |"));
            Assert.True(code == 130, $"Cycle {cycle} ended with {code}:\n{sample.Output}");
        }

        (await SampleProcess.RunAsync("Gsm8k", ["--steps", steps, "--output", interrupted, .. Settings])).Succeeded();
        Assert.Equal(Enumerable.Range(1, 3 * cycles).Select(step => (long)step), Steps(interrupted));
        Assert.Equal(Metrics(whole), Metrics(interrupted));
        Assert.Equal(File.ReadAllText(Path.Combine(whole, "completions.jsonl")), File.ReadAllText(Path.Combine(interrupted, "completions.jsonl")));
        string last = Path.Combine("checkpoints", string.Create(CultureInfo.InvariantCulture, $"checkpoint-{3 * cycles:D6}"));
        foreach (string file in new[] { "model.safetensors", "optimizer.safetensors", "grpo_state.json", "trainer_state.json" })
        {
            Assert.True(
                File.ReadAllBytes(Path.Combine(whole, last, file)).AsSpan().SequenceEqual(File.ReadAllBytes(Path.Combine(interrupted, last, file))), $"{file} differs.");
        }
    }

    [UnixFact]
    public async Task A_second_signal_ends_the_sample_at_once_and_its_last_checkpoint_is_intact()
    {
        string[] settings = ["--prompts-per-step", "2", "--eval-count", "4", "--max-completion-tokens", "40", "--output", _folder];
        using (SignalledSample sample = SignalledSample.Start("Gsm8k", ["--steps", "1000", "--checkpoint-every", "1", .. settings]))
        {
            Assert.True(await sample.HasSaidAsync("step    2/"), sample.Output);
            // Both at the same moment, however fast the first one alone would have ended it.
            sample.Signal(Stop, SampleProcess.Interrupt, SampleProcess.Terminate, Continue);
            Assert.Equal(137, await sample.EndAsync());
            Assert.Contains("Ended at once; the last checkpoint is intact.", sample.Output, StringComparison.Ordinal);
        }

        Directory.CreateDirectory(Path.Combine(_folder, "checkpoints"));
        long[] before = Steps(_folder);
        string next = (before[^1] + 2).ToString(CultureInfo.InvariantCulture);
        (await SampleProcess.RunAsync("Gsm8k", ["--steps", next, "--checkpoint-every", "1", .. settings])).Succeeded();
        Assert.Equal(Enumerable.Range(1, (int)before[^1] + 2).Select(step => (long)step), Steps(_folder));
    }

    [UnixFact]
    public async Task A_signal_stops_the_sample_within_a_token_of_a_long_step()
    {
        // 1,024 completions of 1,000 tokens, 128 at a time: minutes, since weights that have learned nothing do not end a completion.
        string model = Path.Combine(_folder, "model");
        (await SampleProcess.RunAsync("Gsm8k", "init", "--shape", "tiny", "--output", model)).Succeeded();
        using SignalledSample sample = SignalledSample.Start(
            "Gsm8k", "--model", model, "--steps", "2", "--prompts-per-step", "128", "--group-size", "8", "--max-completion-tokens", "1000",
            "--eval-count", "1", "--output", Path.Combine(_folder, "run"));
        Assert.True(await sample.HasSaidAsync("Training "), sample.Output);
        await Task.Delay(1500); // in the rollout
        var clock = Stopwatch.StartNew();
        sample.Signal(SampleProcess.Terminate);

        Assert.Equal(130, await sample.EndAsync());
        output.WriteLine($"{clock.ElapsedMilliseconds} ms");
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(10), $"It took {clock.Elapsed}.");
        Assert.Contains("Stopped after 0 steps", sample.Output, StringComparison.Ordinal);
    }

    private static long[] Steps(string folder) => File.Exists(Path.Combine(folder, "metrics.jsonl"))
        ? [.. File.ReadLines(Path.Combine(folder, "metrics.jsonl")).Select(line => JsonDocument.Parse(line).RootElement.GetProperty("step").GetInt64())]
        : [];

    private static string[] Metrics(string folder) =>
        [.. File.ReadLines(Path.Combine(folder, "metrics.jsonl")).Select(line => string.Join(' ', JsonDocument.Parse(line).RootElement.EnumerateObject()
            .Where(metric => !metric.Name.StartsWith("time/", StringComparison.Ordinal)).Select(metric => metric.ToString())))];
}

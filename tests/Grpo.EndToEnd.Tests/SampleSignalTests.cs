using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Xunit.Abstractions;

namespace Grpo.EndToEnd.Tests;

/// <summary>
/// The sample under SIGTERM and Ctrl-C: interrupted again and again it loses nothing. GRPO_SIGNALS is the number of interruptions;
/// docs/reliability.md has the result of 60.
/// </summary>
[Trait("Speed", "Slow")]
public sealed class SampleSignalTests(ITestOutputHelper output) : IDisposable
{
    private const int Stop = 19; // SIGSTOP and SIGCONT on Linux
    private const int Continue = 18;
    private const int ShortCycles = 4;

    private static readonly string[] Settings =
        ["--prompts-per-step", "4", "--group-size", "8", "--max-completion-tokens", "48", "--eval-count", "16", "--evaluate-every", "3",
            "--checkpoint-every", "5"];

    private readonly string _folder = Directory.CreateTempSubdirectory("grpo-signals-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [UnixFact]
    public async Task A_run_that_is_interrupted_again_and_again_equals_one_that_is_not()
    {
        int cycles = int.TryParse(
            Environment.GetEnvironmentVariable("GRPO_SIGNALS"), NumberStyles.None, CultureInfo.InvariantCulture, out int given)
            ? given
            : ShortCycles;
        string steps = (3 * cycles).ToString(CultureInfo.InvariantCulture);
        string whole = Path.Combine(_folder, "whole"), interrupted = Path.Combine(_folder, "interrupted");
        (await SampleProcess.RunAsync("Gsm8k", ["--steps", steps, "--output", whole, .. Settings])).Succeeded();

        for (int cycle = 0; cycle < cycles; cycle++)
        {
            using SignaledSample sample = SignaledSample.Start("Gsm8k", ["--steps", steps, "--output", interrupted, .. Settings]);
            // Right after the start, or after the first step that it does; each time a little later. That is in the first evaluation, in a
            // rollout, in an update, in a later evaluation or in a checkpoint.
            string moment = cycle % 2 == 0 ? "Training " : "tokens/s  left";
            int wait = (int)(300 * CounterRandom.Uniform(8, cycle));
            Assert.True(await sample.HasSaidAsync(moment), $"Cycle {cycle} ended before '{moment}':\n{sample.Output}");
            await Task.Delay(wait);
            var clock = Stopwatch.StartNew();
            sample.Signal(Signals.Terminate);
            int code = await sample.EndAsync();
            output.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"| {cycle + 1} | {wait} ms after '{moment.Trim()}' | {code} | {clock.ElapsedMilliseconds} ms | "
                + $"{Steps(interrupted).LastOrDefault()} |"));
            Assert.True(code == 130, $"Cycle {cycle} ended with {code}:\n{sample.Output}");
        }

        (await SampleProcess.RunAsync("Gsm8k", ["--steps", steps, "--output", interrupted, .. Settings])).Succeeded();
        Assert.Equal(Enumerable.Range(1, 3 * cycles).Select(step => (long)step), Steps(interrupted));
        Assert.Equal(Metrics(whole), Metrics(interrupted));
        Assert.Equal(
            File.ReadAllText(Path.Combine(whole, "completions.jsonl")), File.ReadAllText(Path.Combine(interrupted, "completions.jsonl")));
        string last = Path.Combine("checkpoints", string.Create(CultureInfo.InvariantCulture, $"checkpoint-{3 * cycles:D6}"));
        foreach (string file in new[] { "model.safetensors", "optimizer.safetensors", "grpo_state.json", "trainer_state.json" })
        {
            Assert.True(
                File.ReadAllBytes(Path.Combine(whole, last, file)).AsSpan()
                    .SequenceEqual(File.ReadAllBytes(Path.Combine(interrupted, last, file))), $"{file} differs.");
        }
    }

    [UnixFact]
    public async Task Signals_at_once_are_one_and_no_step_is_lost()
    {
        int[][] bursts =
        [
            [Signals.Terminate, Signals.Terminate],
            [Signals.Interrupt, Signals.Terminate],
            // Held back until all of them are there: as close together as signals can be.
            [Stop, Signals.Terminate, Signals.HangUp, Signals.Interrupt, Continue],
        ];
        foreach (int[] burst in bursts)
        {
            await EndsAfterAWholeStepAsync(SampleProcess.StartOf("Gsm8k", ["--steps", "1000", .. Small]), burst);
        }
    }

    // It signals the process, and right after that its group, in which the process is.
    [UnixFact]
    public async Task A_timeout_stops_the_sample_and_no_step_is_lost()
    {
        ProcessStartInfo start = SampleProcess.StartOf("Gsm8k", ["--steps", "1000", .. Small]);
        string[] words = ["--kill-after=3m", "1h", start.FileName, .. start.ArgumentList];
        start.FileName = "timeout";
        start.ArgumentList.Clear();
        Array.ForEach(words, start.ArgumentList.Add);

        await EndsAfterAWholeStepAsync(start, Signals.Terminate);
    }

    [UnixFact]
    public async Task A_second_signal_ends_the_sample_at_once_and_its_last_checkpoint_is_intact()
    {
        (await SampleProcess.RunAsync("Gsm8k", ["--steps", "1", .. Small])).Succeeded();
        // A file that never comes: the sample waits in the system, where no token of the run is looked at.
        string pipe = Path.Combine(_folder, "pipe.jsonl");
        using (Process make = Process.Start("mkfifo", pipe))
        {
            await make.WaitForExitAsync();
        }

        using (SignaledSample sample = SignaledSample.Start("Gsm8k", ["--steps", "2", "--eval-dataset", pipe, .. Small]))
        // Opening it for writing returns when the sample opens it for reading.
        using (await Task.Run(() => new FileStream(pipe, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            .WaitAsync(TimeSpan.FromMinutes(2)))
        {
            sample.Signal(Signals.Terminate);
            Assert.True(await sample.HasSaidAsync("Stopping after"), sample.Output);
            await Task.Delay(1500); // until a second one counts
            sample.Signal(Signals.Terminate);
            Assert.Equal(137, await sample.EndAsync());
            Assert.Contains("Ended at once; the last checkpoint is intact.", sample.Output, StringComparison.Ordinal);
        }

        (await SampleProcess.RunAsync("Gsm8k", ["--steps", "2", .. Small])).Succeeded();
        Assert.Equal([1, 2], Steps(_folder));
    }

    [UnixFact]
    public async Task A_sample_that_must_ignore_ctrl_c_is_stopped_by_sigterm()
    {
        Process process = Signals.StartUninterruptible(SampleProcess.StartOf("Gsm8k", ["--steps", "1000", .. Small]));
        using SignaledSample sample = SignaledSample.Watch(process);
        Assert.True(await sample.HasSaidAsync("step    1/"), sample.Output);
        sample.Signal(Signals.Interrupt);
        Assert.True(await sample.HasSaidAsync("step    3/"), sample.Output);
        Assert.DoesNotContain("Stopping", sample.Output, StringComparison.Ordinal);
        sample.Signal(Signals.Terminate);
        Assert.Equal(130, await sample.EndAsync());
    }

    [UnixFact]
    public async Task A_signal_stops_the_sample_within_a_token_of_a_long_step()
    {
        // 1,024 completions of 1,000 tokens, 128 at a time: minutes, since weights that have learned nothing do not end a completion.
        string model = Path.Combine(_folder, "model");
        (await SampleProcess.RunAsync("Gsm8k", "init", "--shape", "tiny", "--output", model)).Succeeded();
        using SignaledSample sample = SignaledSample.Start(
            "Gsm8k", "--model", model, "--steps", "2", "--prompts-per-step", "128", "--group-size", "8", "--max-completion-tokens", "1000",
            "--eval-count", "1", "--output", Path.Combine(_folder, "run"));
        Assert.True(await sample.HasSaidAsync("Training "), sample.Output);
        await Task.Delay(1500); // in the rollout
        var clock = Stopwatch.StartNew();
        sample.Signal(Signals.Terminate);

        Assert.Equal(130, await sample.EndAsync());
        output.WriteLine($"{clock.ElapsedMilliseconds} ms");
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(10), $"It took {clock.Elapsed}.");
        Assert.Contains("Stopped after 0 steps", sample.Output, StringComparison.Ordinal);
    }

    private string[] Small => ["--prompts-per-step", "2", "--eval-count", "4", "--max-completion-tokens", "40", "--output", _folder];

    // Ended in order, with a checkpoint of every step that is on record, and it goes on from there.
    private async Task EndsAfterAWholeStepAsync(ProcessStartInfo start, params int[] signals)
    {
        int before = Steps(_folder).Length;
        using (SignaledSample sample = SignaledSample.Start(start))
        {
            Assert.True(await sample.HasSaidAsync("tokens/s  left"), sample.Output);
            sample.Signal(signals);
            int code = await sample.EndAsync();
            Assert.True(code is 130 or 124, $"It ended with {code}:\n{sample.Output}"); // 124: timeout's own
            Assert.DoesNotContain("Ended at once", sample.Output, StringComparison.Ordinal);
        }

        long last = Steps(_folder)[^1];
        Assert.True(last > before);
        Assert.True(
            Directory.Exists(Path.Combine(_folder, "checkpoints", string.Create(CultureInfo.InvariantCulture, $"checkpoint-{last:D6}"))));
        string next = (last + 1).ToString(CultureInfo.InvariantCulture);
        (await SampleProcess.RunAsync("Gsm8k", ["--steps", next, .. Small])).Succeeded();
        Assert.Equal(Enumerable.Range(1, (int)last + 1).Select(step => (long)step), Steps(_folder));
    }

    private static long[] Steps(string folder) => File.Exists(Path.Combine(folder, "metrics.jsonl"))
        ? [.. File.ReadLines(Path.Combine(folder, "metrics.jsonl"))
            .Select(line => JsonDocument.Parse(line).RootElement.GetProperty("step").GetInt64())]
        : [];

    private static string[] Metrics(string folder) =>
        [.. File.ReadLines(Path.Combine(folder, "metrics.jsonl"))
            .Select(line => string.Join(' ', JsonDocument.Parse(line).RootElement.EnumerateObject()
                .Where(metric => !metric.Name.StartsWith("time/", StringComparison.Ordinal)).Select(metric => metric.ToString())))];
}

using System.Diagnostics;
using System.Text;

namespace Grpo.EndToEnd.Tests;

/// <summary>A sample that runs, is watched, and gets signals.</summary>
internal sealed class SignaledSample : IDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(3);

    private readonly Process _process;
    private readonly StringBuilder _output = new();
    private readonly List<(string Text, TaskCompletionSource<bool> Seen)> _awaited = [];

    private SignaledSample(Process process) => _process = process;

    /// <summary>Starts a sample, with SIGINT at its default.</summary>
    public static SignaledSample Start(string sample, params string[] arguments) => Start(SampleProcess.StartOf(sample, arguments));

    /// <summary>Starts a program, with SIGINT at its default.</summary>
    public static SignaledSample Start(ProcessStartInfo start) => Watch(Signals.StartInterruptible(start));

    /// <summary>Watches a program whose three streams are redirected, and owns it.</summary>
    public static SignaledSample Watch(Process process)
    {
        var running = new SignaledSample(process);
        running._process.StandardInput.Close();
        running._process.OutputDataReceived += (_, line) => running.Read(line.Data);
        running._process.ErrorDataReceived += (_, line) => running.Read(line.Data);
        running._process.BeginOutputReadLine();
        running._process.BeginErrorReadLine();
        return running;
    }

    /// <summary>All that it has said so far.</summary>
    public string Output
    {
        get
        {
            lock (_output)
            {
                return _output.ToString();
            }
        }
    }

    /// <summary>Waits until it has said something with this text in it.</summary>
    /// <returns>False when it ended without.</returns>
    public async Task<bool> HasSaidAsync(string text)
    {
        var seen = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_output)
        {
            if (_output.ToString().Contains(text, StringComparison.Ordinal))
            {
                return true;
            }

            _awaited.Add((text, seen));
        }

        // The output is read to its end before the exit is reported.
        await Task.WhenAny(seen.Task, _process.WaitForExitAsync(), Task.Delay(Limit));
        return seen.Task.IsCompleted
            || (_process.HasExited ? false : throw new TimeoutException($"It has not said '{text}' within {Limit}:\n{Output}"));
    }

    /// <summary>Sends signals, one right after the other.</summary>
    public void Signal(params int[] signals) => Assert.All(signals, signal => Assert.Equal(0, Signals.Kill(_process.Id, signal)));

    /// <summary>Waits for its end.</summary>
    /// <returns>The exit code; 128 and the signal's number when one ended it.</returns>
    public async Task<int> EndAsync()
    {
        using var limit = new CancellationTokenSource(Limit);
        try
        {
            await _process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            throw new TimeoutException($"It has not ended within {Limit}:\n{Output}");
        }

        return _process.ExitCode;
    }

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill(entireProcessTree: true);
        }

        _process.Dispose();
    }

    private void Read(string? line)
    {
        if (line is null)
        {
            return;
        }

        lock (_output)
        {
            _output.AppendLine(line);
            foreach ((_, TaskCompletionSource<bool> seen) in _awaited.Where(
                awaited => line.Contains(awaited.Text, StringComparison.Ordinal)))
            {
                seen.TrySetResult(true);
            }
        }
    }
}

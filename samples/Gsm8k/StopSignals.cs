using System.Runtime.InteropServices;

namespace Grpo.Samples.Gsm8k;

/// <summary>Stops the program gracefully at the first Ctrl-C, SIGTERM or hang-up, and immediately at a second one.</summary>
/// <remarks>
/// One request to stop can arrive as several signals within microseconds: GNU timeout signals the process and then its group, and a closed
/// terminal adds its own. Therefore a second signal counts only after <see cref="Interval"/> has passed since the first. A signal that the
/// parent process told this one to ignore, as nohup does, stays ignored.
/// </remarks>
internal sealed class StopSignals : IDisposable
{
    /// <summary>The time after the first signal in which further signals count as the same request.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    private readonly Action<string> _say;
    private readonly Action _quit;
    private readonly TimeProvider _time;
    private readonly Lock _lock = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly List<PosixSignalRegistration> _registrations = [];
    private long? _first;

    /// <summary>Creates a handler that receives no signals before <see cref="Listen"/> is called.</summary>
    /// <param name="say">Shows a message to the user.</param>
    /// <param name="quit">Ends the process immediately.</param>
    /// <param name="time">The clock, or null for the system's.</param>
    public StopSignals(Action<string> say, Action quit, TimeProvider? time = null) =>
        (_say, _quit, _time) = (say, quit, time ?? TimeProvider.System);

    /// <summary>The token that the first signal cancels.</summary>
    public CancellationToken Token => _stop.Token;

    /// <summary>Starts to receive signals from the system.</summary>
    public StopSignals Listen()
    {
        // On Windows a closed console ends the process regardless of a handler.
        PosixSignal[] signals = OperatingSystem.IsWindows()
            ? [PosixSignal.SIGINT, PosixSignal.SIGTERM]
            : [PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP];
        _registrations.AddRange(signals.Select(signal => PosixSignalRegistration.Create(signal, context =>
        {
            context.Cancel = true;
            Receive();
        })));
        return this;
    }

    /// <summary>Handles one signal.</summary>
    public void Receive()
    {
        bool isFirst;
        lock (_lock)
        {
            isFirst = _first is null;
            if (_first is { } first && _time.GetElapsedTime(first) < Interval)
            {
                return;
            }

            _first ??= _time.GetTimestamp();
        }

        if (isFirst)
        {
            Say("Stopping after the current token; a run writes a checkpoint. Once more after a second quits at once.");
            _stop.Cancel();
        }
        else
        {
            Say("Ended at once; the last checkpoint is intact.");
            _quit();
        }
    }

    /// <summary>Shows a message to the user if the terminal still exists.</summary>
    public void Say(string text)
    {
        try
        {
            _say(text);
        }
        catch (IOException)
        {
            // The terminal is closed, possibly the cause of the signal. Stopping matters more than the message.
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _registrations.ForEach(registration => registration.Dispose());
        _stop.Dispose();
    }
}

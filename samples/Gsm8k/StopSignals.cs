using System.Runtime.InteropServices;

namespace Grpo.Samples.Gsm8k;

/// <summary>Stops the program in order at the first Ctrl-C, SIGTERM or hang-up, and at once at a second one.</summary>
/// <remarks>
/// One wish to stop can arrive as several signals within microseconds: GNU timeout signals the process and then its group, and a closed
/// terminal adds its own. So a second signal counts only when <see cref="Interval"/> has passed since the first. A signal that whoever
/// started the program told it to ignore, as nohup does, stays ignored.
/// </remarks>
internal sealed class StopSignals : IDisposable
{
    /// <summary>The time after the first signal in which others are taken for the same one.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    private readonly Action<string> _say;
    private readonly Action _quit;
    private readonly TimeProvider _time;
    private readonly Lock _lock = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly List<PosixSignalRegistration> _registrations = [];
    private long? _first;

    /// <summary>Creates a handler that hears nothing until <see cref="Listen"/>.</summary>
    /// <param name="say">Tells the person at the terminal.</param>
    /// <param name="quit">Ends the process at once.</param>
    /// <param name="time">The clock; null for the system's.</param>
    public StopSignals(Action<string> say, Action quit, TimeProvider? time = null) =>
        (_say, _quit, _time) = (say, quit, time ?? TimeProvider.System);

    /// <summary>Cancelled by the first signal.</summary>
    public CancellationToken Token => _stop.Token;

    /// <summary>Takes signals from the system from now on.</summary>
    public StopSignals Listen()
    {
        // On Windows a closed console ends the process whatever a handler says.
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

    /// <summary>Tells the person at the terminal, if there still is one.</summary>
    public void Say(string text)
    {
        try
        {
            _say(text);
        }
        catch (IOException)
        {
            // The terminal is gone, which may be why the signal came: nobody is left to be told, and stopping matters more.
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _registrations.ForEach(registration => registration.Dispose());
        _stop.Dispose();
    }
}

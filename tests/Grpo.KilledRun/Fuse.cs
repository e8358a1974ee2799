using System.Diagnostics;

namespace Grpo.KilledRun;

/// <summary>Counts visits to places in a run, and at one of them ends the process, or does what it was given instead.</summary>
public sealed class Fuse
{
    private readonly Dictionary<string, int> _visits = new(StringComparer.Ordinal);
    private readonly string? _place;
    private readonly int _visit;
    private readonly Action? _action;

    private Fuse(string? place, int visit, Action? action = null) => (_place, _visit, _action) = (place, visit, action);

    /// <summary>How often each place was visited.</summary>
    public IReadOnlyDictionary<string, int> Visits => _visits;

    /// <summary>Only counts.</summary>
    public static Fuse Counting() => new(null, 0);

    /// <summary>Ends the process with SIGKILL, so nothing is cleaned up or flushed; or does something else in its place.</summary>
    /// <param name="place">The place.</param>
    /// <param name="visit">The visit of it, from 1.</param>
    /// <param name="action">What is done; null: the process ends.</param>
    public static Fuse At(string place, int visit, Action? action = null) => new(place, visit, action);

    /// <summary>Says that the run is at a place.</summary>
    /// <param name="place">Its name.</param>
    public void Pass(string place)
    {
        int visits = _visits[place] = _visits.GetValueOrDefault(place) + 1;
        if (place == _place && visits == _visit)
        {
            if (_action is not null)
            {
                _action();
                return;
            }

            using Process self = Process.GetCurrentProcess();
            self.Kill();
            Thread.Sleep(Timeout.Infinite); // the signal may take a moment; nothing must happen in it
        }
    }
}

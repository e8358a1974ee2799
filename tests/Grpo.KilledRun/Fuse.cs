using System.Diagnostics;

namespace Grpo.KilledRun;

/// <summary>Counts visits to places in a run, and ends the process at one of them: SIGKILL, so nothing is cleaned up, flushed or disposed.</summary>
public sealed class Fuse
{
    private readonly Dictionary<string, int> _visits = new(StringComparer.Ordinal);
    private readonly string? _place;
    private readonly int _visit;

    private Fuse(string? place, int visit) => (_place, _visit) = (place, visit);

    /// <summary>How often each place was visited.</summary>
    public IReadOnlyDictionary<string, int> Visits => _visits;

    /// <summary>Only counts.</summary>
    public static Fuse Counting() => new(null, 0);

    /// <summary>Ends the process.</summary>
    /// <param name="place">The place.</param>
    /// <param name="visit">At which visit of it, from 1.</param>
    public static Fuse At(string place, int visit) => new(place, visit);

    /// <summary>Says that the run is at a place.</summary>
    /// <param name="place">Its name.</param>
    public void Pass(string place)
    {
        int visits = _visits[place] = _visits.GetValueOrDefault(place) + 1;
        if (place == _place && visits == _visit)
        {
            using Process self = Process.GetCurrentProcess();
            self.Kill();
            Thread.Sleep(Timeout.Infinite); // the signal may take a moment; nothing must happen in it
        }
    }
}

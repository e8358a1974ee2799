using System.Diagnostics;

namespace Grpo.KilledRun;

/// <summary>Counts visits to places in a run, and ends the process or runs an action at one of them.</summary>
public sealed class Fuse
{
    private readonly Dictionary<string, int> _visits = new(StringComparer.Ordinal);
    private readonly string? _place;
    private readonly int _visit;
    private readonly Action? _action;

    private Fuse(string? place, int visit, Action? action = null) => (_place, _visit, _action) = (place, visit, action);

    /// <summary>The number of visits to each place.</summary>
    public IReadOnlyDictionary<string, int> Visits => _visits;

    /// <summary>Creates a fuse that only counts.</summary>
    public static Fuse Counting() => new(null, 0);

    /// <summary>
    /// Creates a fuse that ends the process with SIGKILL, so that nothing is cleaned up or flushed, or that runs an action.
    /// </summary>
    /// <param name="place">The name of the place.</param>
    /// <param name="visit">The number of the visit, counted from 1.</param>
    /// <param name="action">The action to run, or null to end the process.</param>
    public static Fuse At(string place, int visit, Action? action = null) => new(place, visit, action);

    /// <summary>Reports that the run is at a place.</summary>
    /// <param name="place">The name of the visited place.</param>
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
            Thread.Sleep(Timeout.Infinite); // waits for the signal, so that nothing happens before it arrives
        }
    }
}

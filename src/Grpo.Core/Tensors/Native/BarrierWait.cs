using System.Globalization;
using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Tensors;

/// <summary>
/// Lets the workers of GNU's OpenMP sleep at barriers while other programs hold the cores, and spin while they do not.
/// </summary>
/// <remarks>
/// A worker that spins for one that has no core holds the core that the other needs. On two cores beside two busy programs, a step took
/// twice as long as with sleeping workers. On a quiet machine sleeping costs up to a third. OpenMP reads its number of spins once, but
/// spins hardly at all while its workers outnumber the cores. A second team, which never works, makes it so.
/// </remarks>
internal static class BarrierWait
{
    private const double CrowdedFrom = 0.2;            // the share of the time in which a thread that could run waits for a core
    private const double QuietBelow = 0.1;
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(250);
    private static readonly long LeastTime = 50_000_000;                     // nanoseconds of all threads in an interval

    private static readonly object Gate = new();
    private static int _running;
    private static bool _isWatching;

    /// <summary>True if the system tells how long threads wait for a core, and the user has not chosen how OpenMP waits.</summary>
    public static bool CanAdapt { get; } = OpenMpTeam.CanRelease && ReadTimes() is not null
        && Environment.GetEnvironmentVariable("OMP_WAIT_POLICY") is null && Environment.GetEnvironmentVariable("GOMP_SPINCOUNT") is null;

    /// <summary>Watches the cores until <see cref="End"/> is called as often as this.</summary>
    public static void Begin()
    {
        if (!CanAdapt)
        {
            return;
        }

        lock (Gate)
        {
            _running++;
            if (!_isWatching)
            {
                _isWatching = true;
                new Thread(Watch) { IsBackground = true, Name = "Grpo barriers" }.UnsafeStart();
            }

            Monitor.Pulse(Gate);
        }
    }

    /// <summary>Ends what <see cref="Begin"/> has begun.</summary>
    public static void End()
    {
        if (CanAdapt)
        {
            lock (Gate)
            {
                _running--;
            }
        }
    }

    /// <summary>Decides whether workers sleep.</summary>
    /// <param name="sleep">True if they sleep now.</param>
    /// <param name="run">The time that the threads of this process ran, in nanoseconds.</param>
    /// <param name="wait">The time that they waited for a core.</param>
    internal static bool Decide(bool sleep, long run, long wait)
    {
        if (run + wait < LeastTime)
        {
            return sleep; // too little to tell
        }

        double share = (double)wait / (run + wait);
        return sleep ? share >= QuietBelow : share >= CrowdedFrom;
    }

    // The time that all threads ran and waited for a core so far, in nanoseconds. Null if the system does not tell.
    private static (long Run, long Wait)? ReadTimes()
    {
        try
        {
            (long run, long wait) = (0, 0);
            foreach (string task in Directory.EnumerateDirectories("/proc/self/task"))
            {
                try
                {
                    string[] fields = File.ReadAllText(Path.Combine(task, "schedstat")).Split(' ');
                    run += long.Parse(fields[0], CultureInfo.InvariantCulture);
                    wait += long.Parse(fields[1], CultureInfo.InvariantCulture);
                }
                catch (IOException)
                {
                    // the thread has ended
                }
            }

            return run == 0 ? null : (run, wait);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or FormatException)
        {
            return null; // no such file system, or without these numbers
        }
    }

    private static void Watch()
    {
        bool sleep = false;
        (long Run, long Wait)? last = ReadTimes();
        while (true)
        {
            WaitForWork();
            Thread.Sleep(Interval);
            (long Run, long Wait)? now = ReadTimes();
            // Threads that have ended take their times with them.
            if (last is { } before && now is { } after && after.Run >= before.Run && after.Wait >= before.Wait)
            {
                bool next = Decide(sleep, after.Run - before.Run, after.Wait - before.Wait);
                if (sleep && !next)
                {
                    OpenMpTeam.Release();
                    sleep = false;
                }
                else if (!sleep && next)
                {
                    sleep = TryStartTeam();
                }
            }

            last = now;
        }
    }

    private static void WaitForWork()
    {
        lock (Gate)
        {
            while (_running == 0)
            {
                Monitor.Wait(Gate);
            }
        }
    }

    // The workers of all teams outnumber the cores as soon as there is one more.
    private static bool TryStartTeam()
    {
        if (!HasRoomForThread())
        {
            return false;
        }

        OpenMpTeam.Start(members: 2);
        return true;
    }

    // OpenMP ends the process if it cannot create a thread.
    private static unsafe bool HasRoomForThread()
    {
        const nuint StackAndMore = 64 << 20;
        try
        {
            NativeMemory.Free(NativeMemory.Alloc(StackAndMore)); // reserves addresses and touches no page
            return true;
        }
        catch (OutOfMemoryException)
        {
            return false;
        }
    }
}

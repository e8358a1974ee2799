using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Grpo.EndToEnd.Tests;

/// <summary>Sends signals, and starts children that hear them. Not for Windows.</summary>
internal static partial class Signals
{
    public const int HangUp = 1;
    public const int Interrupt = 2;
    public const int Terminate = 15;

    private const nint Default = 0;
    private const nint Ignore = 1;

    /// <summary>True if this process was started to ignore SIGINT, as shells start one in the background; a child inherits that.</summary>
    public static bool IsInterruptIgnored
    {
        get
        {
            // The handler is the first field on Linux and on macOS; the rest is shorter than this.
            Span<byte> action = stackalloc byte[512];
            return ReadAction(Interrupt, 0, ref MemoryMarshal.GetReference(action)) == 0 && MemoryMarshal.Read<nint>(action) == Ignore;
        }
    }

    /// <summary>Starts a process that hears SIGINT, also where this one must ignore it.</summary>
    public static Process StartInterruptible(ProcessStartInfo start)
    {
        if (!IsInterruptIgnored)
        {
            return Process.Start(start)!;
        }

        // A child gets what its parent has at the moment of the fork.
        SetHandler(Interrupt, Default);
        try
        {
            return Process.Start(start)!;
        }
        finally
        {
            SetHandler(Interrupt, Ignore);
        }
    }

    /// <summary>Starts a process that ignores SIGINT.</summary>
    public static Process StartUninterruptible(ProcessStartInfo start)
    {
        if (IsInterruptIgnored)
        {
            return Process.Start(start)!;
        }

        // The runtime's own handler could not be put back as it was: a shell sets the signal aside, as it does for "program &".
        string[] words = ["-c", "trap '' INT; exec \"$@\"", "sh", start.FileName, .. start.ArgumentList];
        start.FileName = "/bin/sh";
        start.ArgumentList.Clear();
        Array.ForEach(words, start.ArgumentList.Add);
        return Process.Start(start)!;
    }

    /// <summary>Sends a signal; 0 when it was sent.</summary>
    [LibraryImport("libc", EntryPoint = "kill")]
    public static partial int Kill(int process, int signal);

    [LibraryImport("libc", EntryPoint = "signal")]
    private static partial nint SetHandler(int signal, nint handler);

    [LibraryImport("libc", EntryPoint = "sigaction")]
    private static partial int ReadAction(int signal, nint none, ref byte action);
}

using System.Diagnostics;

namespace Grpo.Benchmarks;

/// <summary>Runs this program again: the peak of a process is only its own when it has done nothing before.</summary>
internal static class ChildProcess
{
    /// <summary>Runs it to its end.</summary>
    /// <param name="arguments">Its command line.</param>
    /// <returns>The last line that it printed.</returns>
    public static string LastLine(params string[] arguments)
    {
        // Started as `dotnet Grpo.Benchmarks.dll`, the process is dotnet and the program its first argument.
        string program = Path.ChangeExtension(typeof(ChildProcess).Assembly.Location, OperatingSystem.IsWindows() ? ".exe" : null);
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true };
        using Process process = Process.Start(start) ?? throw new InvalidOperationException("The process could not be started.");
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0
            ? output.Trim().Split('\n')[^1]
            : throw new InvalidOperationException($"'{string.Join(' ', arguments)}' ended with exit code {process.ExitCode}:\n{output}");
    }

    /// <summary>The most memory that this process has had, bytes.</summary>
    public static long Peak()
    {
        using Process self = Process.GetCurrentProcess();
        return self.PeakWorkingSet64;
    }
}

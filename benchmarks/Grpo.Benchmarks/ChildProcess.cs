using System.Diagnostics;

namespace Grpo.Benchmarks;

/// <summary>Runs this program in a new process, so that its peak memory does not include earlier work.</summary>
internal static class ChildProcess
{
    /// <summary>The path of this program.</summary>
    /// <remarks>The path of the process would not do: under `dotnet Grpo.Benchmarks.dll` it is dotnet's.</remarks>
    public static string Program { get; } =
        Path.ChangeExtension(typeof(ChildProcess).Assembly.Location, OperatingSystem.IsWindows() ? ".exe" : null);

    /// <summary>Runs the program to its end.</summary>
    /// <param name="arguments">The arguments of its command line.</param>
    /// <returns>The last line that it printed.</returns>
    public static string LastLine(params string[] arguments)
    {
        var start = new ProcessStartInfo(Program, arguments) { RedirectStandardOutput = true };
        using Process process = Process.Start(start) ?? throw new InvalidOperationException("The process could not be started.");
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0
            ? output.Trim().Split('\n')[^1]
            : throw new InvalidOperationException($"'{string.Join(' ', arguments)}' ended with exit code {process.ExitCode}:\n{output}");
    }

    /// <summary>Returns the peak memory of this process in bytes.</summary>
    public static long Peak()
    {
        using Process self = Process.GetCurrentProcess();
        return self.PeakWorkingSet64;
    }
}

using System.Diagnostics;
using System.Globalization;

namespace Grpo.EndToEnd.Tests;

/// <summary>Runs tests/Grpo.StressRun: what needs a process of its own.</summary>
internal static class StressProcess
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(60);

    /// <summary>Runs it to its end.</summary>
    public static async Task<(int ExitCode, string Output, string Errors)> RunAsync(params IReadOnlyList<object> arguments)
    {
        string program = Path.Combine(SampleProcess.FolderOf("tests", "Grpo.StressRun"), "Grpo.StressRun.dll");
        var start = new ProcessStartInfo(
            "dotnet", [program, .. arguments.Select(argument => string.Create(CultureInfo.InvariantCulture, $"{argument}"))])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(), errors = process.StandardError.ReadToEndAsync();
        using var limit = new CancellationTokenSource(Limit);
        try
        {
            await process.WaitForExitAsync(limit.Token);
            return (process.ExitCode, await output, await errors);
        }
        finally
        {
            process.Kill(entireProcessTree: true); // nothing happens when it has ended
        }
    }
}

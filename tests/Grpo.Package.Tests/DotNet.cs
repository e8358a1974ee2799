using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace Grpo.Package.Tests;

/// <summary>The dotnet command in a child process.</summary>
internal static class DotNet
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(5);

    /// <summary>Runs "dotnet" and requires success.</summary>
    /// <param name="folder">The working folder.</param>
    /// <param name="environment">Variables to set; null removes one.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <returns>What it wrote, errors included.</returns>
    public static string Run(string folder, IReadOnlyDictionary<string, string?> environment, params string[] arguments)
    {
        (int exitCode, string output) = Try(folder, environment, arguments);
        Assert.True(exitCode == 0, string.Create(
            CultureInfo.InvariantCulture, $"dotnet {string.Join(' ', arguments)} ended with {exitCode}:\n{output}"));
        return output;
    }

    /// <inheritdoc cref="Run"/>
    public static (int ExitCode, string Output) Try(
        string folder, IReadOnlyDictionary<string, string?> environment, params string[] arguments) =>
        Start(Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet", folder, environment, arguments);

    /// <summary>Runs any program, within five minutes.</summary>
    public static (int ExitCode, string Output) Start(
        string program, string folder, IReadOnlyDictionary<string, string?> environment, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            WorkingDirectory = folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };

        // The outer test run's own build settings must not leak into these builds; servers that outlive them would hold the pipes open.
        foreach (string name in start.Environment.Keys.Where(name => name.StartsWith("MSBUILD", StringComparison.OrdinalIgnoreCase))
            .ToArray())
        {
            start.Environment.Remove(name);
        }

        start.Environment["MSBUILDDISABLENODEREUSE"] = "1";
        start.Environment["UseSharedCompilation"] = "false";
        start.Environment["DOTNET_CLI_UI_LANGUAGE"] = "en";
        start.Environment["DOTNET_CLI_TELEMETRY_OPTOUT"] = "1";
        start.Environment["DOTNET_NOLOGO"] = "1";
        start.Environment.Remove("GRPO_LIBTORCH");
        foreach ((string name, string? value) in environment)
        {
            start.Environment[name] = value;
        }

        var output = new StringBuilder();
        using Process process = Process.Start(start)!;
        process.OutputDataReceived += Append;
        process.ErrorDataReceived += Append;
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        if (!process.WaitForExit(Limit))
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"{program} {string.Join(' ', arguments)} did not end within {Limit}:\n{output}");
        }

        process.WaitForExit(); // drains the streams
        return (process.ExitCode, output.ToString());

        void Append(object sender, DataReceivedEventArgs line)
        {
            lock (output)
            {
                output.AppendLine(line.Data);
            }
        }
    }
}

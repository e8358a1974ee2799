using System.Diagnostics;
using Grpo.Testing;

namespace Grpo.EndToEnd.Tests;

/// <summary>Runs a sample as a user does: as a process of its own, from the folder that the build put it in.</summary>
internal static class SampleProcess
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(9);

    /// <summary>The folder of the tiny model, as copied beside the sample.</summary>
    public static string TinyModel => Path.Combine(Folder("Gsm8k"), "tiny");

    public static Task<Result> RunAsync(string sample, params string[] arguments) => RunAsync(StartOf(sample, arguments));

    public static async Task<Result> RunAsync(ProcessStartInfo start)
    {
        using Process process = Process.Start(start)!;
        process.StandardInput.Close();
        Task<string> output = process.StandardOutput.ReadToEndAsync(), errors = process.StandardError.ReadToEndAsync();
        using var limit = new CancellationTokenSource(Limit);
        try
        {
            await process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"{string.Join(' ', start.ArgumentList)} ran past {Limit}:\n{await output}");
        }

        return new Result(process.ExitCode, await output, await errors);
    }

    /// <summary>How a sample is started.</summary>
    public static ProcessStartInfo StartOf(string sample, params string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet", [Path.Combine(Folder(sample), sample + ".dll"), .. arguments])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
            WorkingDirectory = Path.GetTempPath(),
        };
        // Settings of the machine that runs the tests must not reach the sample.
        foreach (string name in start.Environment.Keys.Where(name => name.StartsWith("GRPO__", StringComparison.OrdinalIgnoreCase))
            .ToArray())
        {
            start.Environment.Remove(name);
        }

        return start;
    }

    /// <summary>Where the build puts a program of the repository.</summary>
    /// <param name="parent">samples or tests.</param>
    /// <param name="project">Its name.</param>
    public static string FolderOf(string parent, string project)
    {
        // …/tests/Grpo.EndToEnd.Tests/bin/Release/net10.0/ → …/samples/Gsm8k/bin/Release/net10.0/
        var framework = new DirectoryInfo(AppContext.BaseDirectory.TrimEnd(Path.DirectorySeparatorChar));
        return Path.Combine(SharedData.RepositoryRoot, parent, project, "bin", framework.Parent!.Name, framework.Name);
    }

    public static string Folder(string sample) => FolderOf("samples", sample);

    internal sealed record Result(int ExitCode, string Output, string Errors)
    {
        public Result Succeeded()
        {
            Assert.True(ExitCode == 0, $"Exit code {ExitCode}.\n{Output}\n{Errors}");
            return this;
        }

        public void Failed(params string[] message)
        {
            Assert.True(ExitCode != 0, $"Succeeded:\n{Output}");
            Assert.All(message, part => Assert.Contains(part, Output + Errors, StringComparison.Ordinal));
            Assert.DoesNotContain("   at Grpo.", Errors, StringComparison.Ordinal); // a message, not a stack trace
        }
    }
}

using System.Globalization;
using Grpo.Tensors;
using Xunit.Abstractions;

namespace Grpo.EndToEnd.Tests;

/// <summary>
/// Updates of a Qwen2 model in a process whose address space is limited (RLIMIT_AS): real allocations fail, wherever they come.
/// GRPO_MEMORY=all tries forty limits.
/// </summary>
[Trait("Speed", "Slow")]
public sealed class OutOfMemoryTests(ITestOutputHelper output) : IDisposable
{
    private const int ErrorForTheUser = 3;

    // No limit that is met, but one: products are the same ones under any, and need the same memory.
    private const long AmpleRoom = 1L << 36;

    // Two fifths of the 190 MB that the update takes. What the process reserves besides is not always the same, so this is not measured.
    private const long NarrowRoom = 76L << 20;

    private readonly string _folder = Directory.CreateTempSubdirectory("grpo-memory-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [LinuxFact]
    public async Task An_update_that_does_not_fit_into_memory_equals_one_of_smaller_micro_batches()
    {
        Run whole = await RunAsync("whole", room: AmpleRoom);
        Run limited = await RunAsync("limited", room: NarrowRoom);
        Assert.InRange(limited.Tokens, 1, 1_700);
        Run configured = await RunAsync("configured", room: AmpleRoom, maxTokens: limited.Tokens);

        Assert.Equal(configured.Loss, limited.Loss);
        Assert.Equal(File.ReadAllBytes(Weights("configured")), File.ReadAllBytes(Weights("limited")));
        Assert.Equal(whole.Loss, limited.Loss, 1e-5);
        Assert.InRange(Difference("whole", "limited"), 0, 1e-5);
    }

    [LinuxFact]
    public async Task An_update_ends_in_order_whatever_memory_there_is()
    {
        bool all = Environment.GetEnvironmentVariable("GRPO_MEMORY") == "all";
        await StressProcess.RunAsync("memory", Path.Combine(_folder, "untouched"), -1, 0, false);
        foreach (bool checkpointing in new[] { false, true })
        {
            Run whole = await RunAsync("whole", room: AmpleRoom, checkpointing: checkpointing);
            Assert.True(Difference("untouched", "whole") > 1e-3);
            foreach (int percent in all ? Enumerable.Range(1, 20).Select(part => 5 * part) : [15])
            {
                Run limited = await RunAsync("limited", room: whole.Grown * percent / 100, checkpointing: checkpointing);
                output.WriteLine(string.Create(
                    CultureInfo.InvariantCulture,
                    $"| {(checkpointing ? "checkpointing" : "plain")} | {percent} % of {whole.Grown >> 20} MB | "
                    + $"{limited.ExitCode} | {limited.Tokens} |"));
                if (limited.ExitCode == ErrorForTheUser)
                {
                    Assert.Equal(File.ReadAllBytes(Weights("untouched")), File.ReadAllBytes(Weights("limited"))); // nothing was applied
                }
                else
                {
                    Assert.InRange(Difference("whole", "limited"), 0, 1e-5);
                }
            }
        }
    }

    private string Weights(string name) => Path.Combine(_folder, name, "model.safetensors");

    // The largest difference of a weight.
    private double Difference(string first, string second)
    {
        using SafetensorsReader one = SafetensorsReader.Open(Weights(first)), other = SafetensorsReader.Open(Weights(second));
        using var scope = TensorScope.BeginNoGrad();
        return one.Entries.Keys.Max(name => (one.Read(name) - other.Read(name)).abs().max().item<float>());
    }

    private async Task<Run> RunAsync(string name, long room = 0, int maxTokens = 0, bool checkpointing = false)
    {
        (int code, string said, string errors) = await StressProcess.RunAsync(
            "memory", Path.Combine(_folder, name), room, maxTokens, checkpointing);
        Assert.True(code is 0 or ErrorForTheUser, $"With {room} bytes it ended with {code}:\n{said}\n{errors}");
        if (code == ErrorForTheUser)
        {
            Assert.Contains("does not fit into memory by itself", said, StringComparison.Ordinal);
            return new Run(code, 0, double.NaN, 0);
        }

        string[] fields = said.Split('\n').Single(line => line.StartsWith("result ", StringComparison.Ordinal)).Split(' ');
        return new Run(
            code, int.Parse(fields[1], CultureInfo.InvariantCulture), double.Parse(fields[2], CultureInfo.InvariantCulture),
            long.Parse(fields[3], CultureInfo.InvariantCulture));
    }

    private sealed record Run(int ExitCode, int Tokens, double Loss, long Grown);
}

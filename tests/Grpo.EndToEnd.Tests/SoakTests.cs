using System.Globalization;
using Xunit.Abstractions;

namespace Grpo.EndToEnd.Tests;

/// <summary>
/// A long run of the embedded model holds at its end what it held when everything had been done once. GRPO_SOAK is the number of steps;
/// docs/reliability.md has the curve of 3,000.
/// </summary>
[Trait("Speed", "Slow")]
public sealed class SoakTests(ITestOutputHelper output) : IDisposable
{
    private const int ShortSteps = 30;
    private const int Settled = 100;

    private readonly string _folder = Directory.CreateTempSubdirectory("grpo-soak-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [LinuxFact]
    public async Task Memory_tensors_and_handles_do_not_grow()
    {
        int steps = int.TryParse(
            Environment.GetEnvironmentVariable("GRPO_SOAK"), NumberStyles.None, CultureInfo.InvariantCulture, out int given)
            ? given
            : ShortSteps;
        (int code, string said, string errors) = await StressProcess.RunAsync("soak", _folder, steps);
        Assert.True(code == 0, said + errors);
        string[] lines = await File.ReadAllLinesAsync(Path.Combine(_folder, "soak.csv"));
        foreach (string line in lines)
        {
            output.WriteLine(line);
        }

        // step, resident, managed, tensors, handles, threads
        long[][] rows =
            [.. lines.Skip(1).Select(line => line.Split(',').Select(field => long.Parse(field, CultureInfo.InvariantCulture)).ToArray())];
        long[] first = rows.Last(row => row[0] <= Settled && row[0] < steps), last = rows[^1];
        Assert.Equal(steps, last[0]);
        Assert.Equal(first[3], last[3]);
        if (steps >= 10 * Settled)
        {
            Assert.InRange((double)last[1] / first[1], 0, 1.03);
            Assert.InRange(last[4], 0, first[4] + 2); // one of them may be open at the moment
        }
    }
}

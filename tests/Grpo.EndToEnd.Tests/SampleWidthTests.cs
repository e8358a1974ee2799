using System.Diagnostics;
using System.Runtime.Intrinsics;

namespace Grpo.EndToEnd.Tests;

/// <summary>The GSM8K sample with the vectors of other processors, which .NET is told not to use here.</summary>
[Trait("Speed", "Slow")]
public sealed class SampleWidthTests : IDisposable
{
    private readonly string _output = Directory.CreateTempSubdirectory("grpo-e2e-").FullName;

    public void Dispose() => Directory.Delete(_output, recursive: true);

    // The widths round differently, so in a long run a token may differ one day. In two steps none does.
    [Fact]
    public async Task Train_samples_the_same_completions_for_every_width_of_vectors()
    {
        string own = await CompletionsAsync("own", Vector512.IsHardwareAccelerated ? 512 : Vector256.IsHardwareAccelerated ? 256 : 128);
        Assert.Equal(2 * 4 * 8, own.Count(character => character == '\n'));
        if (Vector512.IsHardwareAccelerated)
        {
            Assert.Equal(own, await CompletionsAsync("256", 256, "DOTNET_EnableAVX512"));
        }

        if (Vector256.IsHardwareAccelerated)
        {
            Assert.Equal(own, await CompletionsAsync("128", 128, "DOTNET_EnableAVX"));
        }
    }

    private async Task<string> CompletionsAsync(string name, int bits, params string[] switchedOff)
    {
        string output = Path.Combine(_output, name);
        ProcessStartInfo start = SampleProcess.StartOf(
            "Gsm8k", "--steps", "2", "--prompts-per-step", "4", "--eval-count", "4", "--output", output);
        foreach (string variable in switchedOff)
        {
            start.Environment[variable] = "0";
        }

        SampleProcess.Result train = (await SampleProcess.RunAsync(start)).Succeeded();
        Assert.Contains($"decoding in float32 with vectors of {bits} bits", train.Output, StringComparison.Ordinal);
        return await File.ReadAllTextAsync(Path.Combine(output, "completions.jsonl"));
    }
}

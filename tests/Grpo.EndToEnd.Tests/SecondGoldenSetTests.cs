using Grpo.Testing;

namespace Grpo.EndToEnd.Tests;

/// <summary>The golden tests on another set of the same layout: nothing in them may be a fact of one set.</summary>
public sealed class SecondGoldenSetTests
{
    [SharedFact]
    public async Task Golden_tests_pass_on_a_second_set()
    {
        using var folder = new TemporaryFolder();
        SecondGoldenSet.Make(folder.Path);
        using IDisposable other = SharedData.UseGolden(folder.Path);
        var failures = new List<string>();

        Assert.NotEqual(0, await GoldenRun.RunAsync(typeof(GoldenGrpoTests), failures));

        Assert.Empty(failures);
    }
}

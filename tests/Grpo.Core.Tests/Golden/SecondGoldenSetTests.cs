using Grpo.Core.Tests.Losses;
using Grpo.Core.Tests.Losses.Advantages;
using Grpo.Core.Tests.Losses.Objectives;
using Grpo.Core.Tests.Optimization;
using Grpo.Core.Tests.Rollouts;
using Grpo.Core.Tests.Tensors;
using Grpo.Testing;

namespace Grpo.Core.Tests.Golden;

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
        Type[] golden =
        [
            typeof(SamplingFiltersTests), typeof(AdvantageFunctionGoldenTests), typeof(GrpoLossGoldenTests), typeof(ObjectiveGoldenTests),
            typeof(AdamWGoldenTests), typeof(LearningRateTests), typeof(SafetensorsReferenceTests),
        ];
        foreach (Type type in golden)
        {
            Assert.NotEqual(0, await GoldenRun.RunAsync(type, failures));
        }

        Assert.Empty(failures);
    }

    [SharedTheory]
    [InlineData("sampling_filters.json", "cases", typeof(SamplingFiltersTests))]
    [InlineData("advantages.json", "cases", typeof(AdvantageFunctionGoldenTests))]
    [InlineData("grpo_loss.json", "cases", typeof(GrpoLossGoldenTests))]
    [InlineData("grpo_loss.json", "thelmbook_cases", typeof(ObjectiveGoldenTests))]
    [InlineData("optim.json", "adamw_cases", typeof(AdamWGoldenTests))]
    [InlineData("optim.json", "schedules", typeof(LearningRateTests))]
    public async Task Golden_tests_fail_on_a_set_without_cases(string file, string array, Type type)
    {
        using var folder = new TemporaryFolder();
        SecondGoldenSet.Make(folder.Path);
        SecondGoldenSet.Empty(folder.Path, file, array);
        using IDisposable other = SharedData.UseGolden(folder.Path);
        var failures = new List<string>();

        await GoldenRun.RunAsync(type, failures);

        Assert.NotEmpty(failures);
        Assert.All(failures, failure => Assert.Contains("this test would show nothing", failure, StringComparison.Ordinal));
    }
}

using Grpo.Models.Qwen.Tests.Text;
using Grpo.Testing;

namespace Grpo.Models.Qwen.Tests;

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
        foreach (Type type in (Type[])[typeof(ForwardGoldenTests), typeof(GenerationGoldenTests), typeof(LoraGoldenTests),
            typeof(QwenWeightsTests)])
        {
            Assert.NotEqual(0, await GoldenRun.RunAsync(type, failures));
        }

        new QwenTokenizerGoldenTests().Encode_and_decode_equal_the_reference_in_every_case();
        Assert.Empty(failures);
    }
}

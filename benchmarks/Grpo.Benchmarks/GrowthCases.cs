using Grpo.Models.Qwen;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Benchmarks;

/// <summary>How a whole step grows with the group, the completion and the prompt, on the tiny shape.</summary>
internal static class GrowthCases
{
    /// <summary>One axis: a step for each value, with its split.</summary>
    /// <param name="shape">The model.</param>
    /// <param name="device">Where it is.</param>
    /// <param name="axis">G, C or P.</param>
    public static IEnumerable<(string Axis, int Value, TimeSpan Rollout, TimeSpan Update)> Measure(Shape shape, Device device, string axis)
    {
        int[] values = axis == "G" ? [4, 8, 16, 32, 64] : [64, 128, 256, 512, 1024];
        foreach (int value in values)
        {
            (int groupSize, int completion, int prompt) = axis switch { "G" => (value, 128, 128), "C" => (8, value, 128), _ => (8, 128, value) };
            using var policy = new QwenPolicy(Qwen2ForCausalLM.Initialize(shape.Config, seed: 1, device));
            var text = new RandomText(shape.Config.VocabularySize);
            using var optimizer = new GrpoOptimizer(policy, new PolicyGroupSampler(text, text), new HashReward(), new GrpoOptions
            {
                GroupSize = groupSize,
                PromptsPerStep = 1,
                LearningRate = 1e-9,
                GradientSpikeFactor = null,
                Sampling = new SamplingOptions { MaxCompletionTokens = completion, MaxPromptTokens = prompt },
            });
            var reports = new List<StepReport>();
            for (int step = 0; step < 4; step++)
            {
                reports.Add(optimizer.StepAsync(text.Prompts(1, prompt, seed: step)).GetAwaiter().GetResult());
            }

            yield return (axis, value, Median(reports.Skip(1).Select(report => report.RolloutTime)), Median(reports.Skip(1).Select(report => report.UpdateTime)));
        }
    }

    private static TimeSpan Median(IEnumerable<TimeSpan> times)
    {
        TimeSpan[] sorted = [.. times.Order()];
        return sorted[sorted.Length / 2];
    }
}

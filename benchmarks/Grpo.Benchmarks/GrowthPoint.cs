using System.Globalization;
using Grpo.Callbacks;
using Grpo.Models.Qwen;
using Grpo.Models.Qwen.Model;
using Grpo.Optimization;

namespace Grpo.Benchmarks;

/// <summary>A whole step of one prompt at one size of the group (G), the completion (C) or the prompt (P); the other two are 8, 128 and 128.</summary>
/// <param name="Axis">G, C or P.</param>
/// <param name="Value">Completions or tokens.</param>
internal sealed record GrowthPoint(string Axis, int Value)
{
    private const int Steps = 4;                       // the first warms up

    public static IReadOnlyList<GrowthPoint> All { get; } =
    [
        .. new[] { 4, 8, 16, 32, 64 }.Select(size => new GrowthPoint("G", size)),
        .. new[] { "C", "P" }.SelectMany(axis => new[] { 64, 128, 256, 512, 1024 }.Select(length => new GrowthPoint(axis, length))),
    ];

    /// <summary>Measures it in a process of its own, so that the peak is its own too.</summary>
    public GrowthMeasure Measure(string shape)
    {
        double[] numbers = [.. ChildProcess.LastLine("--shape", shape, "--growth-of", ToString()).Split(' ').Select(number => double.Parse(number, CultureInfo.InvariantCulture))];
        return new GrowthMeasure(this, numbers[0], numbers[1], (long)numbers[2]);
    }

    /// <summary>In the process that was started: prints seconds of rollout and update, medians, and the peak in bytes as the last line.</summary>
    public void Run(Shape shape)
    {
        (int groupSize, int completion, int prompt) = Axis switch { "G" => (Value, 128, 128), "C" => (8, Value, 128), _ => (8, 128, Value) };
        using var policy = new QwenPolicy(Qwen2ForCausalLM.Initialize(shape.Config, seed: 1));
        var text = new RandomText(shape.Config.VocabularySize);
        using var optimizer = new GrpoOptimizer(policy, new PolicyGroupSampler(text, text), new HashReward(), new GrpoOptions
        {
            GroupSize = groupSize,
            PromptsPerStep = 1,
            LearningRate = 1e-9,
            GradientSpikeFactor = null,
            Sampling = new SamplingOptions { MaxCompletionTokens = completion, MaxPromptTokens = prompt },
        });
        StepReport[] reports = [.. Enumerable.Range(0, Steps).Select(step => optimizer.StepAsync(text.Prompts(1, prompt, seed: step)).GetAwaiter().GetResult())];
        Console.WriteLine(FormattableString.Invariant(
            $"{Median(reports.Skip(1).Select(report => report.RolloutTime))} {Median(reports.Skip(1).Select(report => report.UpdateTime))} {ChildProcess.Peak()}"));
    }

    public override string ToString() => FormattableString.Invariant($"{Axis}={Value}");

    private static double Median(IEnumerable<TimeSpan> times)
    {
        double[] sorted = [.. times.Select(time => time.TotalSeconds).Order()];
        return sorted[sorted.Length / 2];
    }
}

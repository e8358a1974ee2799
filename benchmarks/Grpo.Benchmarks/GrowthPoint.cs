using System.Globalization;
using Grpo.Models.Qwen;
using Grpo.Models.Qwen.Model;

namespace Grpo.Benchmarks;

/// <summary>The time and memory that a <see cref="GrowthPoint"/> took.</summary>
/// <param name="Point">The point.</param>
/// <param name="Rollout">The time of the rollout in seconds.</param>
/// <param name="Update">The time of the update in seconds.</param>
/// <param name="PeakBytes">The peak memory of the process in bytes.</param>
internal sealed record GrowthMeasure(GrowthPoint Point, double Rollout, double Update, long PeakBytes);

/// <summary>
/// A whole step of one prompt with one size varied: the group (G), the completion (C) or the prompt (P). Their defaults are 8, 128 and 128.
/// </summary>
/// <param name="Axis">The size that is varied: G, C or P.</param>
/// <param name="Value">The number of completions or tokens.</param>
internal sealed record GrowthPoint(string Axis, int Value)
{
    private const int Steps = 4;                       // the first warms up

    public static IReadOnlyList<GrowthPoint> All { get; } =
    [
        .. new[] { 4, 8, 16, 32, 64 }.Select(size => new GrowthPoint("G", size)),
        .. new[] { "C", "P" }.SelectMany(axis => new[] { 64, 128, 256, 512, 1024 }.Select(length => new GrowthPoint(axis, length))),
    ];

    /// <summary>Measures the step in a new process, so that the peak includes nothing else.</summary>
    public GrowthMeasure Measure(string shape)
    {
        double[] numbers = [.. ChildProcess.LastLine("--shape", shape, "--growth-of", ToString()).Split(' ')
            .Select(number => double.Parse(number, CultureInfo.InvariantCulture))];
        return new GrowthMeasure(this, numbers[0], numbers[1], (long)numbers[2]);
    }

    /// <summary>
    /// Runs the step in the new process. The last line that it prints has the median seconds of rollout and update, and the peak in bytes.
    /// </summary>
    public void Run(Shape shape)
    {
        (int groupSize, int completion, int prompt) = Axis switch
        {
            "G" => (Value, 128, 128),
            "C" => (8, Value, 128),
            _ => (8, 128, Value),
        };
        using var policy = new QwenPolicy(CausalLM.Initialize(shape.Config, seed: 1));
        var text = new RandomText(shape.Config.VocabularySize);
        using var optimizer = new GrpoOptimizer(policy, new PolicyGroupSampler(text, text), new HashReward(), new GrpoOptions
        {
            GroupSize = groupSize,
            PromptsPerStep = 1,
            LearningRate = 1e-9,
            GradientSpikeFactor = null,
            Sampling = new SamplingOptions { MaxCompletionTokens = completion, MaxPromptTokens = prompt },
        });
        StepReport[] reports = [.. Enumerable.Range(0, Steps)
            .Select(step => optimizer.StepAsync(text.Prompts(1, prompt, seed: step)).GetAwaiter().GetResult())];
        Console.WriteLine(FormattableString.Invariant(
            $"{Median(reports.Skip(1).Select(report => report.RolloutTime))} ")
            + FormattableString.Invariant($"{Median(reports.Skip(1).Select(report => report.UpdateTime))} {ChildProcess.Peak()}"));
    }

    public override string ToString() => FormattableString.Invariant($"{Axis}={Value}");

    private static double Median(IEnumerable<TimeSpan> times)
    {
        double[] sorted = [.. times.Select(time => time.TotalSeconds).Order()];
        return sorted[sorted.Length / 2];
    }
}

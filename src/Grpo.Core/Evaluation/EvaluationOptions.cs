using System.Globalization;

namespace Grpo.Evaluation;

/// <summary>The options of an evaluation. Together with the weights and the prompts they determine every number of the report.</summary>
public sealed record EvaluationOptions
{
    /// <summary>The sampling options for the accuracy, which is measured on one completion per prompt.</summary>
    /// <value>Default: greedy, with the default limits of <see cref="SamplingOptions"/>.</value>
    public SamplingOptions AccuracySampling { get; set; } = new SamplingOptions().ToGreedy();

    /// <summary>The number of samples per prompt, n, for pass@k and maj@k. With 0 these are not measured.</summary>
    /// <value>0 to 4096; default 0.</value>
    public int Samples { get; set; }

    /// <summary>
    /// The sampling options for pass@k and maj@k. Null for temperature 1 without filters, with the limits of
    /// <see cref="AccuracySampling"/>.
    /// </summary>
    /// <value>Options with a temperature above 0, or null; default null.</value>
    public SamplingOptions? PassSampling { get; set; }

    /// <summary>
    /// The values of k for pass@k and maj@k. Null for the powers of two below <see cref="Samples"/>, and that number itself.
    /// </summary>
    /// <value>Each 1 to <see cref="Samples"/>; default null.</value>
    public IReadOnlyList<int>? PassAt { get; set; }

    /// <summary>The seed for sampling. Greedy completions do not depend on it.</summary>
    /// <value>Default 0.</value>
    public ulong Seed { get; set; }

    /// <summary>The name of the prompt field (<see cref="Prompt.Fields"/>) by which accuracy is split. Null for no split.</summary>
    /// <value>Default "steps".</value>
    public string? DifficultyField { get; set; } = "steps";

    /// <summary>
    /// The name of the reward component (<see cref="Reward.Components"/>) that is a second, lenient judgment: 1 correct, 0
    /// wrong, null for none.
    /// In a weighted sum, it is the first component whose name ends with a slash and this name. Null for no lenient judgment.
    /// </summary>
    /// <value>Default "lenient".</value>
    public string? LenientComponent { get; set; } = "lenient";

    /// <summary>The confidence level of the intervals.</summary>
    /// <value>Above 0, at most 0.999999; default 0.95.</value>
    public double Confidence { get; set; } = 0.95;

    /// <summary>Throws if a value is outside its range.</summary>
    /// <exception cref="ArgumentException">
    /// Values are outside their range. The message names each property with its value and range.
    /// </exception>
    public void Validate()
    {
        var problems = new List<string>(AccuracySampling.Validate());
        Check(Samples is >= 0 and <= 4096, nameof(Samples), Samples, "0 (off) to 4096");
        Check(Confidence is > 0 and <= 0.999999, nameof(Confidence), Confidence, "above 0 and at most 0.999999");
        if (PassSampling is { } sampling)
        {
            problems.AddRange(sampling.Validate().Select(problem => "PassSampling: " + problem));
            Check(
                sampling.Temperature > 0, "PassSampling.Temperature", sampling.Temperature,
                "above 0: greedy samples of one prompt are all equal");
        }

        foreach (int k in PassAt ?? [])
        {
            Check(k >= 1 && k <= Samples, nameof(PassAt), k, string.Create(
                CultureInfo.InvariantCulture, $"1 to Samples, {Samples}: raise Samples"));
        }

        if (problems.Count > 0)
        {
            throw new ArgumentException("These evaluation options cannot be used. " + string.Join(" ", problems));
        }

        void Check<T>(bool holds, string name, T value, string allowed) => OptionCheck.Require(problems, holds, value, allowed, name);
    }

    /// <summary>Returns a copy that does not change with this object.</summary>
    internal EvaluationOptions Copy() => this with
    {
        AccuracySampling = AccuracySampling with { },
        PassSampling = PassSampling is null ? null : PassSampling with { },
        PassAt = PassAt is null ? null : [.. PassAt],
    };

    /// <summary>Returns the values of k to report, in ascending order.</summary>
    internal IReadOnlyList<int> PassList() => PassAt is { } given
        ? [.. given.Distinct().Order()]
        : [.. Enumerable.Range(0, 13).Select(power => 1 << power).Where(k => k < Samples), .. Samples > 0 ? [Samples] : Array.Empty<int>()];
}

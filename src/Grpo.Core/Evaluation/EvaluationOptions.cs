using System.Globalization;

namespace Grpo.Evaluation;

/// <summary>What an evaluation measures. With the weights and the prompts these options decide every number of the report.</summary>
public sealed record EvaluationOptions
{
    /// <summary>How the one completion per prompt is decoded that accuracy is measured on.</summary>
    /// <value>Default: greedy, with the limits of <see cref="SamplingOptions"/>.</value>
    public SamplingOptions AccuracySampling { get; set; } = new SamplingOptions().ToGreedy();

    /// <summary>Completions per prompt, n, that pass@k and maj@k are measured on. 0: none are sampled.</summary>
    /// <value>0 to 4096; default 0.</value>
    public int Samples { get; set; }

    /// <summary>How those are drawn. Null: at temperature 1, without filters, with the limits of <see cref="AccuracySampling"/>.</summary>
    /// <value>A temperature above 0, or null; default null.</value>
    public SamplingOptions? PassSampling { get; set; }

    /// <summary>The k of pass@k and maj@k. Null: 1, 2, 4, 8 … up to <see cref="Samples"/>, and that itself.</summary>
    /// <value>Each 1 to <see cref="Samples"/>; default null.</value>
    public IReadOnlyList<int>? PassAt { get; set; }

    /// <summary>Seed of what is sampled; greedy completions do not depend on it.</summary>
    /// <value>Default 0.</value>
    public ulong Seed { get; set; }

    /// <summary>The one of <see cref="Prompt.Fields"/> that accuracy is split by; null: no split.</summary>
    /// <value>Default "steps".</value>
    public string? DifficultyField { get; set; } = "steps";

    /// <summary>
    /// The one of <see cref="Reward.Components"/> that is a second, lenient judgement: 1 correct, 0 not, null neither. Of a weighted sum of
    /// rewards it is the part whose name ends with a slash and this name. Null: there is none.
    /// </summary>
    /// <value>Default "lenient".</value>
    public string? LenientComponent { get; set; } = "lenient";

    /// <summary>Confidence of the intervals.</summary>
    /// <value>Above 0, at most 0.999999; default 0.95.</value>
    public double Confidence { get; set; } = 0.95;

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">Names every property that is, with its value and its range.</exception>
    public void Validate()
    {
        var problems = new List<string>(AccuracySampling.Validate());
        Check(Samples is >= 0 and <= 4096, nameof(Samples), Samples, "0 (off) to 4096");
        Check(Confidence is > 0 and <= 0.999999, nameof(Confidence), Confidence, "above 0 and at most 0.999999");
        if (PassSampling is { } sampling)
        {
            problems.AddRange(sampling.Validate().Select(problem => "PassSampling: " + problem));
            Check(sampling.Temperature > 0, "PassSampling.Temperature", sampling.Temperature, "above 0: greedy samples of one prompt are all equal");
        }

        foreach (int k in PassAt ?? [])
        {
            Check(k >= 1 && k <= Samples, nameof(PassAt), k, string.Create(CultureInfo.InvariantCulture, $"1 to Samples, {Samples}: draw more samples"));
        }

        if (problems.Count > 0)
        {
            throw new ArgumentException("These evaluation options cannot be used. " + string.Join(" ", problems));
        }

        void Check<T>(bool holds, string name, T value, string allowed) => OptionCheck.Require(problems, holds, value, allowed, name);
    }

    /// <summary>A copy that later changes of this one do not reach.</summary>
    internal EvaluationOptions Copy() => this with
    {
        AccuracySampling = AccuracySampling with { },
        PassSampling = PassSampling is null ? null : PassSampling with { },
        PassAt = PassAt is null ? null : [.. PassAt],
    };

    /// <summary>The k to report, rising.</summary>
    internal IReadOnlyList<int> PassList() => PassAt is { } given
        ? [.. given.Distinct().Order()]
        : [.. Enumerable.Range(0, 13).Select(power => 1 << power).Where(k => k < Samples), .. Samples > 0 ? [Samples] : Array.Empty<int>()];
}

using System.Globalization;

namespace Grpo.Models.Qwen.Config;

/// <summary>The kind of a scaling of the rotary angles, which extends a model to longer texts.</summary>
public enum RopeScalingKind
{
    /// <summary>Every frequency is divided by the factor (position interpolation, arXiv:2306.15595).</summary>
    Linear,

    /// <summary>Only low frequencies are divided by the factor, with a smooth band between (Llama 3.1).</summary>
    Llama3,

    /// <summary>Only low frequencies are divided by the factor, and scores grow with it (YaRN, arXiv:2309.00071).</summary>
    Yarn,
}

/// <summary>A scaling of the rotary angles with its constants, as in <c>rope_scaling</c> or <c>rope_parameters</c>.</summary>
/// <remarks>The scaling holds for every length, short texts included. A constant that the kind does not use is ignored.</remarks>
public sealed record RopeScaling
{
    /// <summary>The kind of the scaling (<c>rope_type</c>).</summary>
    public required RopeScalingKind Kind { get; init; }

    /// <summary>The number by which scaled frequencies are divided (<c>factor</c>).</summary>
    /// <value>Above 0, to 1e6.</value>
    public required double Factor { get; init; }

    /// <summary>
    /// The length that the model was trained for before scaling (<c>original_max_position_embeddings</c>); null means
    /// <see cref="DecoderConfig.MaxPositions"/>. Llama 3 and YaRN use it.
    /// </summary>
    /// <value>1 to 16,777,216; default null, which only YaRN allows.</value>
    public int? OriginalMaxPositions { get; init; }

    /// <summary>
    /// The turns within the original length below which a frequency is divided by the factor (<c>low_freq_factor</c>). Llama 3 uses it.
    /// </summary>
    /// <value>Above 0, to 1e6; default 1.</value>
    public double LowFrequencyFactor { get; init; } = 1;

    /// <summary>The turns within the original length above which a frequency stays (<c>high_freq_factor</c>). Llama 3 uses it.</summary>
    /// <value>Above <see cref="LowFrequencyFactor"/>, to 1e6; default 4.</value>
    public double HighFrequencyFactor { get; init; } = 4;

    /// <summary>The turns within the original length above which a frequency stays (<c>beta_fast</c>). YaRN uses it.</summary>
    /// <value>At least <see cref="BetaSlow"/>, to 1e6; default 32.</value>
    public double BetaFast { get; init; } = 32;

    /// <summary>
    /// The turns within the original length below which a frequency is divided by the factor (<c>beta_slow</c>). YaRN uses it.
    /// </summary>
    /// <value>Above 0, to 1e6; default 1.</value>
    public double BetaSlow { get; init; } = 1;

    /// <summary>The gain of cosine and sine (<c>attention_factor</c>); null means 0.1 ln(factor) + 1. YaRN uses it.</summary>
    /// <value>Above 0, to 1,000; default null.</value>
    public double? AttentionFactor { get; init; }

    /// <summary>True if the ends of the band between the frequencies are whole indices (<c>truncate</c>). YaRN uses it.</summary>
    /// <value>Default true.</value>
    public bool Truncate { get; init; } = true;

    /// <summary>The gain g of cosine and sine. Queries and keys grow by g, and scores by g².</summary>
    internal double Gain => Kind != RopeScalingKind.Yarn ? 1 : AttentionFactor ?? (Factor > 1 ? (0.1 * Math.Log(Factor)) + 1 : 1);

    /// <summary>The name of the kind in <c>rope_type</c>.</summary>
    internal string KindName => RopeScalingFields.NameOf(Kind);

    /// <summary>Returns the kind and the constants that it uses, in one line.</summary>
    internal string Describe() => string.Join(
        ", ",
        RopeScalingFields.Constants(this).Select(field => $"{field.Name} {Convert.ToString(field.Value, CultureInfo.InvariantCulture)}")
            .Prepend(KindName));

    /// <summary>Returns a sentence for each constant of the kind that is out of range.</summary>
    internal IEnumerable<string> Problems()
    {
        if (!Enum.IsDefined(Kind))
        {
            return [$"The kind of the rotary scaling is {Kind} but must be linear, llama3 or yarn."];
        }

        return new[]
        {
            Range("factor", Factor, 0, 1e6),
            OriginalMaxPositions is { } length ? Range("original_max_position_embeddings", length, 0, 16_777_216) : null,
            Kind == RopeScalingKind.Llama3 && OriginalMaxPositions is null
                ? "rope_scaling of type llama3 has no original_max_position_embeddings."
                : null,
            Kind == RopeScalingKind.Llama3 ? Range("low_freq_factor", LowFrequencyFactor, 0, 1e6) : null,
            Kind == RopeScalingKind.Llama3 ? Range("high_freq_factor", HighFrequencyFactor, LowFrequencyFactor, 1e6) : null,
            Kind == RopeScalingKind.Yarn ? Range("beta_slow", BetaSlow, 0, 1e6) : null,
            Kind == RopeScalingKind.Yarn ? Range("beta_fast", BetaFast, 0, 1e6) : null,
            Kind == RopeScalingKind.Yarn && BetaFast < BetaSlow
                ? FormattableString.Invariant($"rope_scaling.beta_fast is {BetaFast} but must be at least beta_slow, {BetaSlow}.")
                : null,
            Kind == RopeScalingKind.Yarn && AttentionFactor is { } gain ? Range("attention_factor", gain, 0, 1_000) : null,
        }.OfType<string>();
    }

    // NaN fails this form of the condition.
    private static string? Range(string field, double value, double bound, double maximum) => value > bound && value <= maximum
        ? null
        : FormattableString.Invariant($"rope_scaling.{field} is {value} but must be above {bound} and at most {maximum}.");
}

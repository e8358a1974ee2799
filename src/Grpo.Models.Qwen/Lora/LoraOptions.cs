using System.Globalization;

namespace Grpo.Models.Qwen;

/// <summary>The options of low-rank adapters (LoRA), which are trained while the weights of the base model stay frozen.</summary>
/// <remarks>
/// An adapted layer computes y = base(x) + scale · B(A(dropout(x))) with A [r, in] and B [out, r] (Hu et al., arXiv:2106.09685).
/// <see cref="UseRankStabilizedScale"/> chooses the scale of Kalajdzievski, arXiv:2312.03732. As in PEFT, A starts with uniform values
/// between −1/√(in) and 1/√(in), and B with zeros. So the policy equals the base model before the first step.
/// </remarks>
public sealed record LoraOptions
{
    /// <summary>
    /// The names of all layers that can be adapted: q_proj, k_proj, v_proj and o_proj of the attention, and gate_proj, up_proj and
    /// down_proj of the feed-forward network. The default of <see cref="TargetModules"/>.
    /// </summary>
    public static IReadOnlyList<string> AllTargetModules { get; } = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj",
        "down_proj"];

    /// <summary>The rank r of each layer's update.</summary>
    /// <value>1 to 8,192; default 16.</value>
    public int Rank { get; init; } = 16;

    /// <summary>The numerator alpha of <see cref="Scale"/>.</summary>
    /// <value>Greater than 0 and at most 1e6; default 32.</value>
    public double Alpha { get; init; } = 32;

    /// <summary>
    /// The probability that dropout sets an input of A to zero, in forward passes with gradients enabled. Use it for supervised training
    /// only. For GRPO it is an error, because the log-probs must come from the model that sampled the tokens.
    /// </summary>
    /// <value>At least 0 and less than 1; default 0.</value>
    public double Dropout { get; init; }

    /// <summary>The names of the layers that get an adapter, in every decoder layer.</summary>
    /// <value>At least one of <see cref="AllTargetModules"/>, each at most once; default all of them.</value>
    public IReadOnlyList<string> TargetModules { get; init; } = AllTargetModules;

    /// <summary>True if the scale is alpha / √r instead of alpha / r, so that a higher rank does not learn more slowly.</summary>
    /// <value>Default false.</value>
    public bool UseRankStabilizedScale { get; init; }

    /// <summary>The seed of A's initial values and of the dropout masks. The same seed gives the same A on every device.</summary>
    /// <value>Default 0.</value>
    public ulong Seed { get; init; }

    /// <summary>
    /// The factor by which B(A(x)) is multiplied: alpha / r, or alpha / √r with <see cref="UseRankStabilizedScale"/>.
    /// </summary>
    public double Scale => Alpha / (UseRankStabilizedScale ? Math.Sqrt(Rank) : Rank);

    /// <summary>Lists a sentence for each value that is out of range.</summary>
    /// <returns>The sentences. The list is empty if all values are valid.</returns>
    public IReadOnlyList<string> Validate()
    {
        var problems = new List<string>();
        Check(Rank is >= 1 and <= 8_192, $"Rank is {Rank} but must be 1 to 8,192.");
        // NaN fails this form of the condition.
        Check(Alpha is > 0 and <= 1e6, $"Alpha is {Alpha} but must be above 0 and at most 1,000,000.");
        Check(Dropout is >= 0 and < 1, $"Dropout is {Dropout} but must be at least 0 and below 1.");
        // Checks the values after rounding to float32.
        Check(
            Alpha is not (> 0 and <= 1e6) || Rank is not (>= 1 and <= 8_192) || float.IsNormal((float)Scale),
            $"Alpha is {Alpha} and Rank {Rank}, so that the scale is {Scale}, which float32 holds as 0 or with fewer digits; ",
            "it must be 1.2E-38 or more.");
        Check(
            Dropout is not (>= 0 and < 1) || (float)Dropout < 1,
            $"Dropout is {Dropout}, which float32 rounds to 1; use 0.9999999 or less.");
        string allowed = string.Join(", ", AllTargetModules);
        Check(TargetModules.Count > 0, $"TargetModules is empty; name at least one of {allowed}.");
        // Reports one name of each kind: the names may come from a file with a hundred thousand.
        string? unknown = TargetModules.FirstOrDefault(name => !AllTargetModules.Contains(name));
        Check(unknown is null, $"TargetModules names '{unknown}', which cannot be adapted; allowed are {allowed}.");
        string? repeated = TargetModules.GroupBy(name => name).FirstOrDefault(same => same.Count() > 1)?.Key;
        Check(repeated is null, $"TargetModules names '{repeated}' more than once.");

        return problems;

        void Check(bool isRight, FormattableString problem, string remedy = "")
        {
            if (!isRight)
            {
                problems.Add(problem.ToString(CultureInfo.InvariantCulture) + remedy);
            }
        }
    }

    /// <summary>
    /// Describes the first property with which adapters of these options and of <paramref name="other"/> cannot share weights. Null if
    /// there is none.
    /// </summary>
    internal string? DifferenceFrom(LoraOptions other)
    {
        if (Rank != other.Rank)
        {
            return FormattableString.Invariant($"r is {other.Rank} but must be {Rank}");
        }

        if (Scale != other.Scale)
        {
            return FormattableString.Invariant($"the scale is {other.Scale:R} but must be {Scale:R}");
        }

        return TargetModules.ToHashSet(StringComparer.Ordinal).SetEquals(other.TargetModules)
            ? null
            : $"target_modules is {string.Join(", ", other.TargetModules)} but must be {string.Join(", ", TargetModules)}";
    }

    /// <summary>Throws if a value is out of range.</summary>
    /// <param name="parameter">The name of the caller's parameter, for the exception.</param>
    /// <exception cref="ArgumentException">A value is out of range. The message lists all values that are.</exception>
    internal void ThrowIfInvalid(string parameter)
    {
        if (Validate() is { Count: > 0 } problems)
        {
            throw new ArgumentException(string.Join(" ", problems), parameter);
        }
    }
}

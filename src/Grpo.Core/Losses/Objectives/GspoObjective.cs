using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Losses;

/// <summary>The GSPO objective: the clipped surrogate with one ratio per completion, the geometric mean of its tokens' ratios.</summary>
/// <remarks>
/// ℓ = −min(min(s, δ)·A, clip(s, 1 − ε_low, 1 + ε_high)·A) for every token of the completion. arXiv:2507.18071, eq. 5 and 7.
/// With <see cref="LossReduction.SequenceSum"/> it is LUSPO, which undoes the division by the length in the gradient of s.
/// </remarks>
public sealed record GspoObjective : PolicyObjective
{
    /// <inheritdoc/>
    public override string Name => "GSPO";

    /// <summary>
    /// The lower bound ε_low of the sequence ratio. It is far smaller than for tokens, because a mean of logarithms changes little.
    /// </summary>
    /// <value>Above 0, below 1; default 3e-4, the paper's.</value>
    public double Low { get; init; } = 3e-4;

    /// <summary>The upper bound ε_high of the sequence ratio.</summary>
    /// <value>Above 0, to 100; default 4e-4, the paper's.</value>
    public double High { get; init; } = 4e-4;

    /// <summary>The cap δ: the largest ratio that counts for a negative advantage. Not in the paper.</summary>
    /// <value>Above 1 + <see cref="High"/>, or null; default null.</value>
    public double? Cap { get; init; }

    /// <inheritdoc/>
    /// <value>Sequence mean (GSPO) and sequence sum (LUSPO).</value>
    public override IReadOnlySet<LossReduction> Reductions => SequenceLevel.Reductions;

    /// <inheritdoc/>
    public override Tensor PerToken(ObjectiveInputs inputs)
    {
        using var scope = TensorScope.Begin();
        Tensor logRatio = ImportanceRatio.Log(inputs, RatioLevel.Sequence);                         // [B, 1]
        Tensor perSequence = ClippedSurrogate.PerToken(                                             // [B, 1]
            logRatio, logRatio.new_zeros(logRatio.shape), inputs.Advantages, new ClipRange(Low, High, Cap));
        return scope.Keep(perSequence.expand_as(inputs.Mask));                                      // [B, C]
    }

    /// <inheritdoc/>
    public override Tensor ClipCounts(ObjectiveInputs inputs)
    {
        using var scope = TensorScope.BeginNoGrad();
        return scope.Keep(Losses.ClipCounts.PerSequence(
            ImportanceRatio.Log(inputs, RatioLevel.Sequence).exp(), inputs.Advantages, inputs.Mask, 1 - Low, 1 + High));
    }

    /// <inheritdoc/>
    public override string? RefusalReason(LossReduction reduction) => SequenceLevel.RefusalReason(Name, reduction);

    /// <inheritdoc/>
    public override IEnumerable<string> Validate() => Problems(Name, Low, High, Cap);

    /// <summary>Lists the problems of parameters that GSPO and GSPO-token share.</summary>
    internal static IEnumerable<string> Problems(string name, double low, double high, double? cap) => ParameterProblems.Find(
        name,
        (low is > 0 and < 1, nameof(Low), low, "above 0 and below 1"),
        (high is > 0 and <= 100, nameof(High), high, "above 0, at most 100"),
        (cap is null || cap > 1 + high, nameof(Cap), cap, "above 1 + High, or null: a lower cap would act before the clip"))
        .Concat(Float32.Problems(
        low is > 0 and < 1 ? Float32.ProblemNear1(nameof(Low), name, low, isBelow: true) : null,
        high is > 0 and <= 100 ? Float32.ProblemNear1(nameof(High), name, high, isBelow: false) : null,
        cap > 1 ? Float32.Problem($"{nameof(Cap)} of {name}", cap.Value) : null));
}

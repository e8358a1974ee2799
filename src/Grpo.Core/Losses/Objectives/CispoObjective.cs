using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Losses;

/// <summary>The CISPO objective with an absolute cap: importance weights are truncated, and every token keeps its gradient.</summary>
/// <remarks>
/// ℓ = −sg(min(w, cap))·A·log π. MiniMax-M1, arXiv:2506.13585, eq. 4, in the form of ScaleRL, arXiv:2510.13786, where the bound is the
/// largest weight itself. <see cref="CispoBandObjective"/> is the form with a band around 1.
/// </remarks>
public sealed record CispoObjective : PolicyObjective
{
    /// <inheritdoc/>
    public override string Name => "CISPO";

    /// <summary>The largest importance weight. It is not a distance from 1: a usual ε of 0.2 would scale every token down to 0.2.</summary>
    /// <value>1 to 1000; default 5.</value>
    public double Cap { get; init; } = 5;

    /// <summary>The level of the weight: the ratio of the token or of its completion.</summary>
    /// <value>Default <see cref="RatioLevel.Token"/>, as in the papers.</value>
    public RatioLevel Level { get; init; } = RatioLevel.Token;

    /// <inheritdoc/>
    public override bool IsPerToken => Level == RatioLevel.Token;

    /// <inheritdoc/>
    public override Tensor PerToken(ObjectiveInputs inputs)
    {
        using var scope = TensorScope.Begin();
        return scope.Keep(WeightedLogProbs.PerToken(inputs, ImportanceRatio.Log(inputs, Level).exp().clamp_max(Cap)));
    }

    /// <summary>Counts the weights above the cap with A &gt; 0 (cispo_clip_ratio). None counts as low.</summary>
    /// <inheritdoc/>
    public override Tensor ClipCounts(ObjectiveInputs inputs)
    {
        using var scope = TensorScope.BeginNoGrad();
        return scope.Keep(Losses.ClipCounts.PerSequence(ImportanceRatio.Log(inputs, Level).exp(), inputs.Advantages, inputs.Mask, 0, Cap));
    }

    /// <inheritdoc/>
    public override IEnumerable<string> Validate() => ParameterProblems.Find(
        Name,
        (Cap is >= 1 and <= 1000, nameof(Cap), Cap,
            "1 to 1000: it is the largest weight itself, not a distance from 1 (that is CispoBandObjective)"),
        (Enum.IsDefined(Level), nameof(Level), Level, string.Join(" or ", Enum.GetNames<RatioLevel>())));
}

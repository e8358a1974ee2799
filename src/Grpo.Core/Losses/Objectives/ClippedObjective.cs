using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Losses;

/// <summary>PPO's clipped surrogate on the probability ratio of each token: the objective of GRPO, Dr. GRPO and DAPO.</summary>
/// <remarks>
/// ℓ = −min(min(w, δ)·A, clip(w, 1 − ε_low, 1 + ε_high)·A), with dual clip ℓ ← min(ℓ, −c·A) for A &lt; 0.
/// PPO, arXiv:1707.06347, eq. 7; DeepSeekMath, arXiv:2402.03300, eq. 3; DAPO, arXiv:2503.14476, section 3.1 (two bounds);
/// dual clip, arXiv:1912.09729. A cap δ above 1 + ε_high and a dual clip c = δ are one function, so only one of them may be set.
/// </remarks>
public sealed record ClippedObjective : PolicyObjective
{
    /// <inheritdoc/>
    public override string Name => "clipped surrogate";

    /// <summary>The lower bound ε_low: below 1 − ε_low a negative advantage has no gradient.</summary>
    /// <value>Above 0, below 1; default 0.2.</value>
    public double Low { get; init; } = 0.2;

    /// <summary>The upper bound ε_high: above 1 + ε_high a positive advantage has no gradient.</summary>
    /// <value>Above 0, to 100; default 0.2 (DAPO: 0.28).</value>
    public double High { get; init; } = 0.2;

    /// <summary>The cap δ: the largest ratio that counts for a negative advantage.</summary>
    /// <value>Above 1 + <see cref="High"/>, or null; default null.</value>
    public double? Cap { get; init; }

    /// <summary>The bound c of the dual clip: for a negative advantage the loss of a token is at most c·|A|.</summary>
    /// <value>Above 1 + <see cref="High"/> (usually 3), or null; default null.</value>
    public double? DualClip { get; init; }

    /// <inheritdoc/>
    public override bool IsPerToken => true;

    /// <inheritdoc/>
    public override Tensor PerToken(ObjectiveInputs inputs)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        ImportanceRatio.Require(inputs);
        using var scope = TensorScope.Begin();
        Tensor perToken = ClippedSurrogate.PerToken(inputs.LogProbs, inputs.OldLogProbs, inputs.Advantages, new ClipRange(Low, High, Cap));
        if (DualClip is { } bound)
        {
            Tensor advantages = inputs.Advantages.unsqueeze(1);                                     // [B, 1]
            Tensor largest = (advantages * -bound).masked_fill(advantages.ge(0), double.PositiveInfinity);
            perToken = torch.minimum(perToken, largest);
        }

        return scope.Keep(perToken);                                                                // [B, C]
    }

    /// <inheritdoc/>
    public override Tensor ClipCounts(ObjectiveInputs inputs)
    {
        using var scope = TensorScope.BeginNoGrad();
        return scope.Keep(Losses.ClipCounts.PerSequence(
            ImportanceRatio.Log(inputs, RatioLevel.Token).exp(), inputs.Advantages, inputs.Mask, 1 - Low, 1 + High));
    }

    /// <inheritdoc/>
    public override IEnumerable<string> Validate() => ParameterProblems.Find(
        Name,
        (Low is > 0 and < 1, nameof(Low), Low, "above 0 and below 1"),
        (High is > 0 and <= 100, nameof(High), High, "above 0, at most 100"),
        (Cap is null || Cap > 1 + High, nameof(Cap), Cap, "above 1 + High, or null: a lower cap would act before the clip"),
        (DualClip is null || DualClip > 1 + High, nameof(DualClip), DualClip,
            "above 1 + High, or null: a lower one would act before the clip"),
        (Cap is null || DualClip is null, nameof(DualClip), DualClip, "null when Cap is set: both bound the ratio of a negative advantage"))
        .Concat(Float32.Problems(
        Low is > 0 and < 1 ? Float32.ProblemNear1(nameof(Low), Name, Low, isBelow: true) : null,
        High is > 0 and <= 100 ? Float32.ProblemNear1(nameof(High), Name, High, isBelow: false) : null,
        Cap > 1 ? Float32.Problem($"{nameof(Cap)} of {Name}", Cap.Value) : null,
        DualClip > 1 ? Float32.Problem($"{nameof(DualClip)} of {Name}", DualClip.Value) : null));
}

using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Losses;

/// <summary>
/// The CISPO objective as first published: importance weights are clipped to a band around 1, and every token keeps its gradient.
/// </summary>
/// <remarks>
/// ℓ = −sg(clip(w, 1 − ε_low, 1 + ε_high))·A·log π. MiniMax-M1, arXiv:2506.13585, eq. 4 and 5. Its authors switch the lower bound off and
/// tune only ε_high. Unlike the clipped surrogate, clipping does not depend on the sign of A.
/// </remarks>
public sealed record CispoBandObjective : PolicyObjective
{
    /// <inheritdoc/>
    public override string Name => "CISPO (band)";

    /// <summary>The lower bound ε_low: no weight is smaller than 1 − ε_low.</summary>
    /// <value>Above 0, to 1; default 1, which is no lower bound.</value>
    public double Low { get; init; } = 1;

    /// <summary>The upper bound ε_high: no weight is larger than 1 + ε_high.</summary>
    /// <value>Above 0, to 1000; default 0.2.</value>
    public double High { get; init; } = 0.2;

    /// <inheritdoc/>
    public override bool IsPerToken => true;

    /// <inheritdoc/>
    public override Tensor PerToken(ObjectiveInputs inputs)
    {
        using var scope = TensorScope.Begin();
        return scope.Keep(WeightedLogProbs.PerToken(inputs, ImportanceRatio.Log(inputs, RatioLevel.Token).exp().clamp(1 - Low, 1 + High)));
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
        (Low is > 0 and <= 1, nameof(Low), Low, "above 0, at most 1 (no lower bound)"),
        (High is > 0 and <= 1000, nameof(High), High, "above 0, at most 1000")).Concat(Float32.Problems(
        Low is > 0 and <= 1 ? Float32.ProblemNear1(nameof(Low), Name, Low, isBelow: true) : null,
        High is > 0 and <= 1000 ? Float32.ProblemNear1(nameof(High), Name, High, isBelow: false) : null));
}

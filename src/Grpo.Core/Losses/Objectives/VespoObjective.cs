using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Losses;

/// <summary>
/// The VESPO objective: the policy gradient with a smooth weight of the completion's ratio, not normalized by its length.
/// </summary>
/// <remarks>
/// L = clip(Σ m·clip(d, −20, 20), ln 1e-8, 20), φ = exp(λ + k·L − λ·e^L), ℓ = −sg(φ)·A·log π, with (k, λ) by the sign of A.
/// arXiv:2602.10693. φ is 1 at ratio 1 for every k and λ, and falls to 0 on both sides of it. The inner bounds only keep the exponential
/// finite.
/// </remarks>
public sealed record VespoObjective : PolicyObjective
{
    private const double LargestLogRatio = 20;
    private static readonly double SmallestLogRatio = Math.Log(1e-8);

    /// <inheritdoc/>
    public override string Name => "VESPO";

    /// <summary>The exponent k for A ≥ 0: the rate at which φ falls as the ratio goes to 0.</summary>
    /// <value>0 to 100; default 2.</value>
    public double PositiveK { get; init; } = 2;

    /// <summary>The rate λ for A ≥ 0, at which φ falls as the ratio grows.</summary>
    /// <value>0 to 100; default 3.</value>
    public double PositiveLambda { get; init; } = 3;

    /// <summary>The exponent k for A &lt; 0: the rate at which φ falls as the ratio goes to 0.</summary>
    /// <value>0 to 100; default 3.</value>
    public double NegativeK { get; init; } = 3;

    /// <summary>The rate λ for A &lt; 0, at which φ falls as the ratio grows.</summary>
    /// <value>0 to 100; default 2.</value>
    public double NegativeLambda { get; init; } = 2;

    /// <inheritdoc/>
    public override Tensor PerToken(ObjectiveInputs inputs)
    {
        using var scope = TensorScope.Begin();
        return scope.Keep(WeightedLogProbs.PerToken(inputs, Weights(inputs).unsqueeze(1)));         // [B, C]
    }

    /// <summary>Computes the weight φ of every completion. TRL reports its mean as vespo/phi_seq_mean.</summary>
    /// <param name="inputs">The tensors of the micro-batch.</param>
    /// <returns>The weights, [B] float32, without gradient. Owned by the caller's scope.</returns>
    /// <exception cref="ArgumentException">A shape differs.</exception>
    public Tensor Weights(ObjectiveInputs inputs)
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor difference = ImportanceRatio.Log(inputs, RatioLevel.Token).clamp(-LargestLogRatio, LargestLogRatio);     // [B, C]
        Tensor logRatio = (difference * inputs.Mask).sum(1L).clamp(SmallestLogRatio, LargestLogRatio);                  // [B]
        Tensor positive = Shape(logRatio, PositiveK, PositiveLambda);
        Tensor negative = Shape(logRatio, NegativeK, NegativeLambda);
        return scope.Keep(torch.where(inputs.Advantages.ge(0), positive, negative));
    }

    /// <inheritdoc/>
    public override IEnumerable<string> Validate() => ParameterProblems.Find(
        Name,
        (PositiveK is >= 0 and <= 100, nameof(PositiveK), PositiveK, "0 to 100"),
        (PositiveLambda is >= 0 and <= 100, nameof(PositiveLambda), PositiveLambda, "0 to 100"),
        (NegativeK is >= 0 and <= 100, nameof(NegativeK), NegativeK, "0 to 100"),
        (NegativeLambda is >= 0 and <= 100, nameof(NegativeLambda), NegativeLambda, "0 to 100"));

    private static Tensor Shape(Tensor logRatio, double k, double lambda)
    {
        using var scope = TensorScope.BeginNoGrad();
        return scope.Keep((lambda + (logRatio * k) - (logRatio.exp() * lambda)).exp());
    }
}

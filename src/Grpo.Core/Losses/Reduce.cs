using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Losses;

/// <summary>Per-token losses to a scalar.</summary>
public static class Reduce
{
    /// <summary>Reduces by the named rule.</summary>
    /// <param name="reduction">Which rule.</param>
    /// <param name="perToken">ℓ, [B, C] float32, finite also where the mask is 0.</param>
    /// <param name="mask">m, [B, C] float32.</param>
    /// <param name="denominators">Counts of the whole optimizer step; a micro-batch's results add up to the step's.</param>
    /// <returns>A scalar, float32, differentiable in <paramref name="perToken"/>. Owned by the caller's scope.</returns>
    /// <exception cref="ArgumentException">The shapes differ.</exception>
    public static Tensor Apply(LossReduction reduction, Tensor perToken, Tensor mask, LossDenominators denominators)
    {
        TensorGuard.Require(mask, nameof(mask), "[B, C]", perToken.shape);
        using var scope = TensorScope.Begin();
        Tensor masked = perToken * mask; // [B, C]
        return scope.Keep(reduction switch
        {
            LossReduction.TokenMean => masked.sum() / Math.Max(denominators.Tokens, 1),
            LossReduction.SequenceMean => (masked.sum(1L) / mask.sum(1L).clamp_min(1)).sum() / Math.Max(denominators.Sequences, 1),
            LossReduction.FixedLength => masked.sum() / (Math.Max(denominators.Sequences, 1) * (double)denominators.MaxCompletionTokens),
            LossReduction.LengthScaled => masked.sum() / Math.Max(denominators.Sequences, 1),
            _ => throw new ArgumentOutOfRangeException(nameof(reduction), reduction, "Not a loss reduction."),
        });
    }
}

using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Losses;

/// <summary>Masks completions of negative advantage that the policy has already moved away from.</summary>
/// <remarks>
/// A completion is kept if A ≥ 0 or mean_t(log π_old − log π) ≤ threshold. DeepSeek-V3.2, arXiv:2512.02556. The mask multiplies the policy
/// loss, never the KL term, and changes no denominator.
/// </remarks>
internal static class OffPolicySequenceMask
{
    /// <summary>Computes the mask: 1 for a completion that is kept, else 0.</summary>
    /// <param name="inputs">The tensors of the micro-batch.</param>
    /// <param name="threshold">The largest allowed mean drift in nats per token, 0 or more.</param>
    /// <returns>The mask, [B, 1] float32, without gradient. Owned by the caller's scope.</returns>
    /// <exception cref="ArgumentException">A shape differs.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The threshold is negative or NaN.</exception>
    public static Tensor Factors(ObjectiveInputs inputs, double threshold)
    {
        if (!(threshold >= 0))
        {
            throw new ArgumentOutOfRangeException(
                nameof(threshold), threshold, "The threshold must be 0 or more: it bounds a mean of log π_old − log π.");
        }

        using var scope = TensorScope.BeginNoGrad();
        Tensor drift = -ImportanceRatio.Log(inputs, RatioLevel.Sequence);                          // [B, 1]
        return scope.Keep(inputs.Advantages.unsqueeze(1).ge(0).bitwise_or(drift.le(threshold)).to(inputs.Mask.dtype));
    }
}

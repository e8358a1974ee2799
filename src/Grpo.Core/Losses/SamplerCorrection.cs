using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Losses;

/// <summary>
/// Importance weights between the training forward and the engine that sampled, for samplers with other kernels or quantised weights.
/// </summary>
/// <remarks>
/// ρ = exp(log π_old − log π_sampler) per token, both at the same weights, truncated (Yao et al. 2025, "Your efficient RL framework secretly
/// brings you off-policy RL training") or masked above the cap. It multiplies the policy loss, never the KL term.
/// </remarks>
public static class SamplerCorrection
{
    /// <summary>ρ per token, bounded.</summary>
    /// <param name="oldLogProbs">log π_old as the training forward computes it, nats. [B, C] float32.</param>
    /// <param name="samplerLogProbs">The log-probs that the sampler reported for the same tokens, nats. [B, C] float32.</param>
    /// <param name="mask">m, [B, C] float32; where it is 0 the result is 1 and nothing is read.</param>
    /// <param name="mode">What happens above the cap.</param>
    /// <param name="cap">The largest ratio, 1 or more; 2 is usual.</param>
    /// <returns>[B, C] float32, without gradient. Owned by the caller's scope.</returns>
    /// <exception cref="ArgumentException">A shape differs.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The cap is below 1 or NaN, or the mode is unknown.</exception>
    public static Tensor Factors(Tensor oldLogProbs, Tensor samplerLogProbs, Tensor mask, SamplerCorrectionMode mode, double cap)
    {
        ArgumentNullException.ThrowIfNull(oldLogProbs);
        TensorGuard.Require(samplerLogProbs, nameof(samplerLogProbs), "[B, C]", oldLogProbs.shape);
        TensorGuard.Require(mask, nameof(mask), "[B, C]", oldLogProbs.shape);
        if (!(cap >= 1))
        {
            throw new ArgumentOutOfRangeException(nameof(cap), cap, "The cap must be 1 or more: a lower one would act where both engines agree.");
        }

        using var scope = TensorScope.BeginNoGrad();
        Tensor ratio = (oldLogProbs - samplerLogProbs).masked_fill(mask.eq(0), 0).exp();           // [B, C]
        return scope.Keep(mode switch
        {
            SamplerCorrectionMode.Truncate => ratio.clamp_max(cap),
            SamplerCorrectionMode.Mask => ratio.masked_fill(ratio.gt(cap), 0),
            _ => throw new ArgumentOutOfRangeException(nameof(mode), mode, "Not a mode of sampler correction."),
        });
    }
}

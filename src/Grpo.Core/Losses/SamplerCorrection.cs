using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Losses;

/// <summary>
/// Computes importance weights that correct for a sampler with other kernels or quantized weights than the training pass.
/// </summary>
/// <remarks>
/// ρ = exp(log π_old − log π_sampler) per token, both with equal weights, truncated (Yao et al. 2025, "Your efficient RL framework secretly
/// brings you off-policy RL training") or masked above the cap. It multiplies the policy loss, never the KL term.
/// </remarks>
internal static class SamplerCorrection
{
    /// <summary>Computes the bounded ratio ρ of each token.</summary>
    /// <param name="oldLogProbs">The log-probs log π_old of the training pass in nats, [B, C] float32.</param>
    /// <param name="samplerLogProbs">The log-probs that the sampler recorded for these tokens in nats, [B, C] float32.</param>
    /// <param name="mask">The completion mask m, [B, C] float32. Where it is 0 the result is 1 and nothing is read.</param>
    /// <param name="mode">The treatment of ratios above the cap.</param>
    /// <param name="cap">The largest ratio, 1 or more; usually 2.</param>
    /// <returns>The ratios, [B, C] float32, without gradient. Owned by the caller's scope.</returns>
    /// <exception cref="ArgumentException">A shape differs.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The cap is below 1 or NaN, or the mode is unknown.</exception>
    public static Tensor Factors(Tensor oldLogProbs, Tensor samplerLogProbs, Tensor mask, SamplerCorrectionMode mode, double cap)
    {
        ArgumentNullException.ThrowIfNull(oldLogProbs);
        TensorGuard.Require(samplerLogProbs, nameof(samplerLogProbs), "[B, C]", oldLogProbs.shape);
        TensorGuard.Require(mask, nameof(mask), "[B, C]", oldLogProbs.shape);
        if (!(cap >= 1))
        {
            throw new ArgumentOutOfRangeException(
                nameof(cap), cap, "The cap must be 1 or more: a lower one would act where both engines agree.");
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

/// <summary>The treatment of importance ratios between policy and sampler that exceed their cap.</summary>
public enum SamplerCorrectionMode
{
    /// <summary>The ratio is truncated to the cap. The bias is bounded, and every token still contributes.</summary>
    Truncate,

    /// <summary>The ratio is set to 0, which leaves the token out of the policy loss.</summary>
    Mask,
}

using static TorchSharp.torch;

namespace Grpo.Losses;

/// <summary>Estimates of the divergence from the reference model.</summary>
public static class KlPenalty
{
    /// <summary>Schulman's k3 estimate of KL(π ‖ π_ref), per token: exp(d) − d − 1 with d = log π_ref − log π.</summary>
    /// <param name="logProbs">log π of the sampled tokens, nats. [B, C] float32.</param>
    /// <param name="referenceLogProbs">log π_ref of the same tokens, nats. [B, C] float32, no gradient.</param>
    /// <returns>[B, C] float32, ≥ 0, differentiable in <paramref name="logProbs"/>. Owned by the caller's scope.</returns>
    /// <exception cref="ArgumentException">The shapes differ.</exception>
    /// <remarks>DeepSeekMath, arXiv:2402.03300, eq. 4. Unlike verl, the result is not clamped.</remarks>
    public static Tensor K3(Tensor logProbs, Tensor referenceLogProbs)
    {
        TensorGuard.Require(referenceLogProbs, nameof(referenceLogProbs), "[B, C]", logProbs.shape);
        using var scope = TensorScope.Begin();
        Tensor difference = referenceLogProbs - logProbs; // [B, C]
        return scope.Keep(difference.exp() - difference - 1);
    }
}

using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Losses;

/// <summary>The GRPO loss: clipped surrogate plus β·KL per token, reduced to a scalar. No value network.</summary>
/// <remarks>DeepSeekMath, arXiv:2402.03300, eq. 3, with the reductions of DAPO (2503.14476) and Dr. GRPO (2503.20783).</remarks>
public static class GrpoLoss
{
    /// <summary>The loss of a micro-batch. The micro-batches of a step add up to the step's loss.</summary>
    /// <param name="inputs">The tensors. What stands where the mask is 0 cannot matter, NaN included.</param>
    /// <param name="clipRange">Bounds on the ratio.</param>
    /// <param name="klCoefficient">β; with 0 the reference log-probs are not read.</param>
    /// <param name="reduction">How tokens become a scalar.</param>
    /// <param name="denominators">Counts of the whole optimizer step.</param>
    /// <exception cref="ArgumentException">A shape differs.</exception>
    /// <exception cref="InvalidOperationException">β is not 0 and there are no reference log-probs.</exception>
    public static LossResult Compute(
        LossInputs inputs, ClipRange clipRange, double klCoefficient, LossReduction reduction, LossDenominators denominators)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        TensorGuard.Require(inputs.Mask, nameof(inputs.Mask), "[B, C]", inputs.LogProbs.shape);
        if (klCoefficient != 0 && inputs.ReferenceLogProbs is null)
        {
            throw new InvalidOperationException(FormattableString.Invariant($"The KL coefficient is {klCoefficient} but there are no reference log-probs."));
        }

        using var scope = TensorScope.Begin();
        Tensor padding = inputs.Mask.eq(0);                                                                   // [B, C] bool
        Tensor logProbs = inputs.LogProbs.masked_fill(padding, 0);                                            // [B, C]
        Tensor oldLogProbs = inputs.OldLogProbs?.masked_fill(padding, 0) ?? logProbs.detach();                // [B, C]
        Tensor perToken = ClippedSurrogate.PerToken(logProbs, oldLogProbs, inputs.Advantages, clipRange);     // [B, C]
        Tensor? kl = inputs.ReferenceLogProbs is { } reference
            ? KlPenalty.K3(logProbs, reference.masked_fill(padding, 0))                                       // [B, C]
            : null;
        if (kl is not null && klCoefficient != 0)
        {
            perToken += kl * klCoefficient;
        }

        Tensor loss = Reduce.Apply(reduction, perToken, inputs.Mask, denominators);
        Tensor sums = Count(logProbs, oldLogProbs, kl, inputs.Advantages, inputs.Mask, clipRange);
        return new LossResult(scope.Keep(loss), scope.Keep(sums));
    }

    private static Tensor Count(Tensor logProbs, Tensor oldLogProbs, Tensor? kl, Tensor advantages, Tensor mask, ClipRange clipRange)
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor ratio = (logProbs - oldLogProbs).exp();                                                        // [B, C]
        Tensor sign = advantages.unsqueeze(1).sign();                                                         // [B, 1]
        Tensor low = ratio.lt(1 - clipRange.Low).logical_and(sign.lt(0));
        Tensor high = ratio.gt(1 + clipRange.High).logical_and(sign.gt(0));
        Tensor klSum = kl is null ? mask.new_zeros([]) : (kl.detach() * mask).sum();
        return scope.Keep(torch.stack([klSum, (low * mask).sum(), (high * mask).sum(), (ratio * mask).sum()]));
    }
}

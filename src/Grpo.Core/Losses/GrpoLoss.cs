using Grpo.Optimization;
using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Losses;

/// <summary>The GRPO loss: an objective plus β·KL per token, reduced to a scalar, minus the entropy bonus. No value network.</summary>
/// <remarks>DeepSeekMath, arXiv:2402.03300, eq. 3, with any <see cref="PolicyObjective"/> in place of the clipped surrogate.</remarks>
public static class GrpoLoss
{
    /// <summary>The loss of a micro-batch. The micro-batches of a step add up to the step's loss.</summary>
    /// <param name="inputs">The tensors. What stands where the mask is 0 cannot matter, NaN included.</param>
    /// <param name="settings">Which loss.</param>
    /// <param name="denominators">Counts of the whole optimizer step.</param>
    /// <exception cref="ArgumentException">A shape differs.</exception>
    /// <exception cref="InvalidOperationException">β is not 0 and there are no reference log-probs, or the same with entropies and with the sampler's log-probs.</exception>
    public static LossResult Compute(LossInputs inputs, LossSettings settings, LossDenominators denominators)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        ArgumentNullException.ThrowIfNull(settings);
        TensorGuard.Require(inputs.Mask, nameof(inputs.Mask), "[B, C]", inputs.LogProbs.shape);
        if (settings.KlCoefficient != 0 && inputs.ReferenceLogProbs is null)
        {
            throw new InvalidOperationException(FormattableString.Invariant($"The KL coefficient is {settings.KlCoefficient} but there are no reference log-probs."));
        }

        if ((settings.EntropyCoefficient != 0 || settings.EntropyThreshold is not null) && inputs.Entropies is null)
        {
            throw new InvalidOperationException(FormattableString.Invariant(
                $"The entropy coefficient is {settings.EntropyCoefficient} and the entropy threshold {settings.EntropyThreshold}, but there are no entropies."));
        }

        if (settings.SamplerCorrectionCap is { } limit && inputs.SamplerLogProbs is null)
        {
            throw new InvalidOperationException(FormattableString.Invariant(
                $"SamplerCorrectionCap is {limit} but the sampler recorded no log-probs. Set Completion.LogProbs in the sampler, or leave the option null."));
        }

        using var scope = TensorScope.Begin();
        Tensor padding = inputs.Mask.eq(0);                                                                   // [B, C] bool
        Tensor logProbs = inputs.LogProbs.masked_fill(padding, 0);                                            // [B, C]
        Tensor oldLogProbs = inputs.OldLogProbs?.masked_fill(padding, 0) ?? logProbs.detach();                // [B, C]
        Tensor? referenceLogProbs = inputs.ReferenceLogProbs?.masked_fill(padding, 0);                        // [B, C]
        var objectiveInputs = new ObjectiveInputs(logProbs, oldLogProbs, inputs.Advantages, inputs.Mask);
        Tensor perToken = settings.Objective.PerToken(objectiveInputs);                                       // [B, C]
        TensorGuard.Require(perToken, $"{settings.Objective.Name}.PerToken", "[B, C]", inputs.LogProbs.shape);
        if (settings.OffPolicyThreshold is { } threshold)
        {
            perToken *= OffPolicySequenceMask.Factors(objectiveInputs, threshold);
        }

        if (settings.EntropyThreshold is { } lowest)
        {
            perToken *= TopEntropyMask.Factors(inputs.Entropies!, inputs.Mask, lowest);
        }

        if (settings.SamplerCorrectionCap is { } cap)
        {
            Tensor samplerLogProbs = torch.where(inputs.SamplerLogProbs!.isnan(), oldLogProbs, inputs.SamplerLogProbs!); // not recorded: ρ = 1
            perToken *= SamplerCorrection.Factors(oldLogProbs, samplerLogProbs, inputs.Mask, settings.SamplerCorrectionMode, cap);
        }

        // Behind the masks: what holds the policy close to the reference is never masked away.
        if (settings.KlCoefficient != 0)
        {
            perToken += KlPenalty.PerToken(settings.KlEstimator, logProbs, oldLogProbs, referenceLogProbs!) * settings.KlCoefficient;
        }

        Tensor loss = Reduce.Apply(settings.Reduction, perToken, inputs.Mask, denominators);
        if (settings.EntropyCoefficient != 0)
        {
            loss += EntropyBonus.Loss(inputs.Entropies!, inputs.Mask, settings.EntropyCoefficient, denominators.Tokens);
        }

        Tensor? counts = settings.Objective.ClipCounts(objectiveInputs);
        return new LossResult(scope.Keep(loss), scope.Keep(KlSum(logProbs, referenceLogProbs, inputs.Mask)), counts is null ? null : scope.Keep(counts));
    }

    /// <summary>The gradient of the loss in the log-probs, [B, C] float32. Owned by the caller's scope.</summary>
    /// <inheritdoc cref="Compute"/>
    internal static Tensor Gradient(LossInputs inputs, LossSettings settings, LossDenominators denominators)
    {
        using var scope = TensorScope.Begin();
        using IDisposable recording = enable_grad();
        Tensor logProbs = inputs.LogProbs.detach().requires_grad_(true);
        return scope.Keep(autograd.grad([Compute(inputs with { LogProbs = logProbs }, settings, denominators).Loss], [logProbs])[0]);
    }

    private static Tensor KlSum(Tensor logProbs, Tensor? referenceLogProbs, Tensor mask)
    {
        using var scope = TensorScope.BeginNoGrad();
        return scope.Keep(referenceLogProbs is null ? mask.new_zeros([]) : (KlPenalty.K3(logProbs, referenceLogProbs) * mask).sum());
    }
}

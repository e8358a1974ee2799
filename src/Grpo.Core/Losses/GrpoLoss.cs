using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Losses;

/// <summary>
/// The GRPO loss: an objective plus β·KL per token, reduced to a scalar, minus an entropy bonus. It needs no value network.
/// </summary>
/// <remarks>DeepSeekMath, arXiv:2402.03300, eq. 3, with any <see cref="PolicyObjective"/> in place of the clipped surrogate.</remarks>
public static class GrpoLoss
{
    /// <summary>Computes the loss of a micro-batch. The losses of a step's micro-batches add up to the step's loss.</summary>
    /// <param name="inputs">The tensors of the micro-batch. Values where the mask is 0 are ignored, even NaN.</param>
    /// <param name="settings">The objective, reduction, KL term and masks of the loss.</param>
    /// <param name="denominators">The counts of the whole optimizer step.</param>
    /// <returns>The loss with the sums for its metrics. The tensors belong to the caller's scope.</returns>
    /// <exception cref="ArgumentException">A shape differs.</exception>
    /// <exception cref="InvalidOperationException">
    /// The settings need reference log-probs, entropies or the sampler's log-probs, and <paramref name="inputs"/> lacks them.
    /// </exception>
    public static LossResult Compute(LossInputs inputs, LossSettings settings, LossDenominators denominators)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        ArgumentNullException.ThrowIfNull(settings);
        TensorGuard.Require(inputs.Mask, nameof(inputs.Mask), "[B, C]", inputs.LogProbs.shape);
        if (settings.KlCoefficient != 0 && inputs.ReferenceLogProbs is null)
        {
            throw new InvalidOperationException(
                FormattableString.Invariant($"The KL coefficient is {settings.KlCoefficient} but there are no reference log-probs."));
        }

        if ((settings.EntropyCoefficient != 0 || settings.EntropyThreshold is not null) && inputs.Entropies is null)
        {
            throw new InvalidOperationException(FormattableString.Invariant(
                $"The entropy coefficient is {settings.EntropyCoefficient} and the entropy threshold ")
                + FormattableString.Invariant($"{settings.EntropyThreshold}, but there are no entropies."));
        }

        if (settings.SamplerCorrectionCap is { } limit && inputs.SamplerLogProbs is null)
        {
            throw new InvalidOperationException(FormattableString.Invariant(
                $"SamplerCorrectionCap is {limit} but the sampler recorded no log-probs. Set Completion.LogProbs in the ")
                + "sampler, or leave the option null.");
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
            // not recorded: ρ = 1
            Tensor samplerLogProbs = torch.where(inputs.SamplerLogProbs!.isnan(), oldLogProbs, inputs.SamplerLogProbs!);
            perToken *= SamplerCorrection.Factors(oldLogProbs, samplerLogProbs, inputs.Mask, settings.SamplerCorrectionMode, cap);
        }

        // Added after the masks, so that the KL term is never masked.
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
        return new LossResult(
            scope.Keep(loss), scope.Keep(KlSum(logProbs, referenceLogProbs, inputs.Mask)), counts is null ? null : scope.Keep(counts));
    }

    /// <summary>Computes the gradient of the loss with respect to the log-probs, [B, C] float32. Owned by the caller's scope.</summary>
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

/// <summary>The tensors from which the loss of a micro-batch is computed. Borrowed.</summary>
/// <param name="LogProbs">The log-probs log π of the sampled tokens in nats, [B, C] float32, with gradient.</param>
/// <param name="OldLogProbs">
/// The log-probs log π_old of the policy that sampled, in nats, [B, C] float32. Null if that is the present policy; then w = 1, with
/// gradient.
/// </param>
/// <param name="ReferenceLogProbs">The log-probs log π_ref of the reference model in nats, [B, C] float32. Null without a KL term.</param>
/// <param name="Advantages">The advantages A, [B] float32.</param>
/// <param name="Mask">The completion mask m, [B, C] float32: 1 for a real token.</param>
public sealed record LossInputs(Tensor LogProbs, Tensor? OldLogProbs, Tensor? ReferenceLogProbs, Tensor Advantages, Tensor Mask)
{
    /// <summary>
    /// The entropy of the distribution at each token in nats, [B, C] float32, with gradient. Null if the loss needs no entropies.
    /// </summary>
    public Tensor? Entropies { get; init; }

    /// <summary>
    /// The log-probs that the sampler recorded in nats, [B, C] float32, NaN where it recorded none. Null without sampler correction.
    /// </summary>
    public Tensor? SamplerLogProbs { get; init; }
}

/// <summary>The denominators of a loss, counted over the whole optimizer step before its first backward pass.</summary>
/// <remarks>Because they are those of the step, neither the micro-batch size nor the order of the sequences changes the gradient.</remarks>
/// <param name="Sequences">The number of completions of the step, B, including those with advantage 0.</param>
/// <param name="Tokens">The number of completion tokens of the step, N.</param>
/// <param name="MaxCompletionTokens">The length limit of a completion in tokens.</param>
public readonly record struct LossDenominators(long Sequences, long Tokens, int MaxCompletionTokens);

/// <summary>The loss of a micro-batch and the sums for its metrics. The tensors belong to the caller's scope.</summary>
/// <param name="Loss">The micro-batch's share of the step's loss, scalar float32, differentiable.</param>
/// <param name="KlSum">
/// The sum of the k3 estimates over real tokens, scalar float32 without gradient. 0 without reference log-probs.
/// </param>
/// <param name="ClipCounts">
/// The clip counts for <see cref="ClipMetrics.FromCounts"/>, [B, 3] float32 without gradient. Null if the objective has no trust region.
/// </param>
public readonly record struct LossResult(Tensor Loss, Tensor KlSum, Tensor? ClipCounts);

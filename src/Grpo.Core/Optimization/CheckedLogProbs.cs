using System.Globalization;
using Grpo.Modeling;
using static TorchSharp.torch;

namespace Grpo.Optimization;

/// <summary>Calls the log-prob methods of policies and reference models, and checks shape, dtype and device of the results.</summary>
/// <remarks><see cref="NumericsGuard"/> and <see cref="RewardKl"/> check the values, which they copy to the CPU.</remarks>
internal static class CheckedLogProbs
{
    /// <summary>Computes log-probs of the policy.</summary>
    /// <param name="policy">The policy.</param>
    /// <param name="batch">The batch of prompts and completions.</param>
    /// <param name="temperature">The sampling temperature.</param>
    /// <returns>The log-probs, [B, C] float32. Owned by the caller's scope.</returns>
    /// <exception cref="InvalidOperationException">The result is not [B, C] float32 on the device of the batch.</exception>
    public static Tensor Compute(IPolicy policy, TokenBatch batch, double temperature) =>
        Require(policy.LogProbs(batch, temperature), policy, nameof(IPolicy.LogProbs), batch);

    /// <summary>Computes log-probs of the policy, fused with the gradient of a known loss.</summary>
    /// <param name="policy">The policy.</param>
    /// <param name="batch">The batch of prompts and completions.</param>
    /// <param name="temperature">The sampling temperature.</param>
    /// <param name="lossGradient">The function from log-probs to the loss's gradient with respect to them.</param>
    /// <returns>The log-probs, [B, C] float32. Owned by the caller's scope.</returns>
    /// <exception cref="InvalidOperationException">The result is not [B, C] float32 on the device of the batch.</exception>
    public static Tensor Fused(IFusedLossPolicy policy, TokenBatch batch, double temperature, Func<Tensor, Tensor> lossGradient) =>
        Require(policy.LogProbs(batch, temperature, lossGradient), policy, nameof(IFusedLossPolicy.LogProbs), batch);

    /// <summary>Computes log-probs and entropies of the policy.</summary>
    /// <param name="policy">The policy.</param>
    /// <param name="batch">The batch of prompts and completions.</param>
    /// <param name="temperature">The sampling temperature.</param>
    /// <returns>Log-probs and entropies, each [B, C] float32. Owned by the caller's scope.</returns>
    /// <exception cref="InvalidOperationException">A result is not [B, C] float32 on the device of the batch.</exception>
    public static TokenStatistics WithEntropies(IEntropyPolicy policy, TokenBatch batch, double temperature)
    {
        TokenStatistics statistics = policy.LogProbsAndEntropies(batch, temperature);
        Require(statistics.LogProbs, policy, nameof(IEntropyPolicy.LogProbsAndEntropies), batch);
        Require(statistics.Entropies, policy, nameof(IEntropyPolicy.LogProbsAndEntropies) + " (entropies)", batch);
        return statistics;
    }

    /// <summary>Computes log-probs of the reference model. Call it without recording gradients.</summary>
    /// <param name="reference">The reference model.</param>
    /// <param name="batch">The batch of prompts and completions.</param>
    /// <param name="temperature">The sampling temperature.</param>
    /// <returns>The log-probs, [B, C] float32. Owned by the caller's scope.</returns>
    /// <exception cref="InvalidOperationException">
    /// The result is not [B, C] float32 on the device of the batch, or has a gradient.
    /// </exception>
    public static Tensor Compute(IReferenceModel reference, TokenBatch batch, double temperature)
    {
        Tensor logProbs = Require(reference.LogProbs(batch, temperature), reference, nameof(IReferenceModel.LogProbs), batch);
        return logProbs.requires_grad
            ? throw new InvalidOperationException(
                $"{reference.GetType().Name}.{nameof(IReferenceModel.LogProbs)} returned a tensor with a gradient; "
                + "the reference is frozen, so return detach().")
            : logProbs;
    }

    private static Tensor Require(Tensor? result, object plugIn, string member, TokenBatch batch)
    {
        string name = $"{plugIn.GetType().Name}.{member}";
        if (result is null)
        {
            throw new InvalidOperationException($"{name} returned null; it must return [B, C] float32.");
        }

        long[] wanted = batch.CompletionIds.shape;
        Device device = batch.CompletionIds.device;
        if (!result.shape.AsSpan().SequenceEqual(wanted) || result.dtype != ScalarType.Float32
            || result.device.ToString() != device.ToString())
        {
            throw new InvalidOperationException(string.Create(CultureInfo.InvariantCulture,
                $"{name} returned [{string.Join(", ", result.shape)}] {result.dtype} on {result.device}; "
                + $"it must return [B, C] = [{string.Join(", ", wanted)}] Float32 on {device}."));
        }

        return result;
    }
}

namespace Grpo.Losses;

/// <summary>Subtracts the divergence from the reference model from the reward: r − β·Σ_t (log π − log π_ref).</summary>
/// <remarks>
/// The KL-shaped reward of RLHF as used by RLOO, arXiv:2402.14740, and REINFORCE++, arXiv:2501.03262, for a whole completion. The sum is
/// Schulman's k1. In the reward it gives the gradient of KL(π ‖ π_ref), since the advantage multiplies ∇log π. As a term of the loss, its
/// gradient is pure noise, E[∇k1] = 0. It may be negative for a single completion. The log-probs are those of the policy that sampled the
/// completion, at the sampling temperature. The loss must then not have a KL term.
/// </remarks>
internal static class KlShapedReward
{
    /// <summary>Subtracts the penalty from a reward.</summary>
    /// <param name="reward">The reward of the completion. Null is an abstention and stays null.</param>
    /// <param name="logProbs">The log-probs log π of the sampled tokens in nats, [C], real tokens only.</param>
    /// <param name="referenceLogProbs">The log-probs log π_ref of these tokens in nats, [C].</param>
    /// <param name="coefficient">The coefficient β, finite, 0 or more.</param>
    /// <exception cref="ArgumentException">The lengths differ, or a log-prob is NaN or ∞.</exception>
    /// <exception cref="ArgumentOutOfRangeException">β is negative or not finite.</exception>
    public static double? Compute(
        double? reward, ReadOnlySpan<float> logProbs, ReadOnlySpan<float> referenceLogProbs, double coefficient)
    {
        if (!double.IsFinite(coefficient) || coefficient < 0)
        {
            throw new ArgumentOutOfRangeException(
                nameof(coefficient),
                coefficient,
                "The KL coefficient must be a finite number, 0 or more: a negative one would pay the policy for leaving the reference.");
        }

        return reward - (coefficient * K1(logProbs, referenceLogProbs));
    }

    /// <summary>Computes Σ_t (log π − log π_ref) in nats, summed in double precision.</summary>
    /// <param name="logProbs">The log-probs log π of the sampled tokens in nats, [C], real tokens only.</param>
    /// <param name="referenceLogProbs">The log-probs log π_ref of these tokens in nats, [C].</param>
    /// <returns>The single-sample estimate of KL(π ‖ π_ref) over the completion; 0 for an empty one.</returns>
    /// <exception cref="ArgumentException">The lengths differ, or a log-prob is NaN or ∞.</exception>
    public static double K1(ReadOnlySpan<float> logProbs, ReadOnlySpan<float> referenceLogProbs)
    {
        if (logProbs.Length != referenceLogProbs.Length)
        {
            throw new ArgumentException(
                $"There are {logProbs.Length} log-probs of the policy but {referenceLogProbs.Length} of the reference; "
                + "they must be of the same tokens.",
                nameof(referenceLogProbs));
        }

        double sum = 0;
        for (int i = 0; i < logProbs.Length; i++)
        {
            if (!float.IsFinite(logProbs[i]) || !float.IsFinite(referenceLogProbs[i]))
            {
                throw new ArgumentException(FormattableString.Invariant(
                    $"Token {i} has log-prob {logProbs[i]} under the policy and {referenceLogProbs[i]} under the reference; ")
                    + "both must be finite.", nameof(logProbs));
            }

            sum += (double)logProbs[i] - referenceLogProbs[i];
        }

        return sum;
    }
}

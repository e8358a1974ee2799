using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Losses;

/// <summary>Computes the entropy bonus, −c·Σ(H·m)/N, which is added to the loss and favors uncertain distributions.</summary>
/// <remarks>
/// Mnih et al. 2016, arXiv:1602.01783, section 4. It is a mean over tokens, regardless of the reduction of the policy loss.
/// </remarks>
internal static class EntropyBonus
{
    /// <summary>
    /// Computes the bonus as a term of the loss, negative for c above 0. Over the micro-batches of a step it adds up to the step's term.
    /// </summary>
    /// <param name="entropies">The entropy H of each position in nats, [B, C] float32, with gradient.</param>
    /// <param name="weights">The weights, [B, C] float32: 1 for a token that counts, else 0, such as the completion mask.</param>
    /// <param name="coefficient">The coefficient c.</param>
    /// <param name="tokens">The number of tokens that count in the whole optimizer step; 0 divides by 1.</param>
    /// <returns>A scalar, float32, differentiable with respect to <paramref name="entropies"/>. Owned by the caller's scope.</returns>
    /// <exception cref="ArgumentException">The shapes differ.</exception>
    public static Tensor Loss(Tensor entropies, Tensor weights, double coefficient, long tokens)
    {
        ArgumentNullException.ThrowIfNull(entropies);
        TensorGuard.Require(weights, nameof(weights), "[B, C]", entropies.shape);
        using var scope = TensorScope.Begin();
        Tensor counted = entropies.masked_fill(weights.eq(0), 0) * weights;                        // [B, C]
        return scope.Keep(counted.sum() * (-coefficient / Math.Max(tokens, 1)));
    }
}

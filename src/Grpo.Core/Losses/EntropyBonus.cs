using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Losses;

/// <summary>The reward for staying undecided: −c·Σ(H·m)/N, added to the loss.</summary>
/// <remarks>Mnih et al. 2016, arXiv:1602.01783, section 4. A mean over tokens, whatever the reduction of the policy loss.</remarks>
public static class EntropyBonus
{
    /// <summary>The bonus as a term of the loss: negative for c above 0. The micro-batches of a step add up to the step's term.</summary>
    /// <param name="entropies">H of each position, nats. [B, C] float32, with gradient where the bonus is to have one.</param>
    /// <param name="weights">1 for a token that counts, else 0: the completion mask, or that of <see cref="TopEntropyMask"/>. [B, C] float32.</param>
    /// <param name="coefficient">c.</param>
    /// <param name="tokens">Tokens that count in the whole optimizer step; 0 divides by 1.</param>
    /// <returns>A scalar, float32, differentiable in <paramref name="entropies"/>. Owned by the caller's scope.</returns>
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

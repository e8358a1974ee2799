using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Losses;

/// <summary>Masks all tokens but the fraction ρ of the step's tokens with the highest entropy.</summary>
/// <remarks>
/// The threshold is the (1 − ρ) quantile of H over all completion tokens of the step, interpolated linearly; ties with it are kept.
/// arXiv:2506.01939. The mask multiplies the policy loss only: the KL term and the denominators are those of all tokens.
/// </remarks>
internal static class TopEntropyMask
{
    /// <summary>Computes the entropy from which tokens are trained on.</summary>
    /// <param name="entropies">The entropy H of every completion token of the step in nats, in any order, without padding.</param>
    /// <param name="fraction">The fraction ρ, above 0, at most 1. With 1 all tokens are kept.</param>
    /// <returns>The threshold in nats; −∞ without tokens.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The fraction is out of range.</exception>
    /// <exception cref="ArgumentException">An entropy is NaN.</exception>
    public static double Threshold(ReadOnlySpan<float> entropies, double fraction)
    {
        if (!(fraction is > 0 and <= 1))
        {
            throw new ArgumentOutOfRangeException(nameof(fraction), fraction, "The fraction of tokens to keep must be above 0, at most 1.");
        }

        if (entropies.IsEmpty)
        {
            return double.NegativeInfinity;
        }

        float[] sorted = entropies.ToArray();
        Array.Sort(sorted); // NaN sorts first
        if (float.IsNaN(sorted[0]))
        {
            throw new ArgumentException("An entropy is NaN; only completion tokens belong here, never padding.", nameof(entropies));
        }

        // A rounding error in the position would drop a token: 0.7 · 10 must be 7.
        double position = (1 - fraction) * (sorted.Length - 1);
        double nearest = Math.Round(position);
        position = Math.Abs(position - nearest) < 1e-9 * sorted.Length ? nearest : position;
        int below = (int)position;
        int above = Math.Min(below + 1, sorted.Length - 1);
        return (float)(sorted[below] + ((position - below) * ((double)sorted[above] - sorted[below])));
    }

    /// <summary>Computes the mask: 1 for a completion token whose entropy reaches the threshold, else 0.</summary>
    /// <param name="entropies">The entropy H in nats, [B, C] float32. Values where the mask is 0 are ignored.</param>
    /// <param name="mask">The completion mask m, [B, C] float32.</param>
    /// <param name="threshold">The result of <see cref="Threshold"/> for the whole step.</param>
    /// <returns>The mask, [B, C] float32, without gradient. Owned by the caller's scope.</returns>
    /// <exception cref="ArgumentException">The shapes differ.</exception>
    public static Tensor Factors(Tensor entropies, Tensor mask, double threshold)
    {
        ArgumentNullException.ThrowIfNull(entropies);
        TensorGuard.Require(mask, nameof(mask), "[B, C]", entropies.shape);
        using var scope = TensorScope.BeginNoGrad();
        return scope.Keep(entropies.ge(threshold) * mask);
    }
}

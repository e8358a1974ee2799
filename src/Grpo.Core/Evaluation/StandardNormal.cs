using System.Globalization;

namespace Grpo.Evaluation;

/// <summary>Computes quantiles of the standard normal distribution for confidence intervals.</summary>
internal static class StandardNormal
{
    private const double LargestConfidence = 0.999999;

    /// <summary>Returns the z with Φ(z) − Φ(−z) = confidence, such as 1.96 for 0.95.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The confidence is not above 0 and at most 0.999999.</exception>
    public static double TwoSided(double confidence)
    {
        if (confidence is not (> 0 and <= LargestConfidence))
        {
            throw new ArgumentOutOfRangeException(nameof(confidence), confidence, string.Create(
                CultureInfo.InvariantCulture, $"The confidence must be above 0 and at most {LargestConfidence}; 0.95 is usual."));
        }

        // Newton's method from below. The mass is concave in z, so every step falls short and z rises until rounding stops it.
        double z = 0;
        for (int i = 0; i < 100; i++)
        {
            double next = z + ((confidence - CentralMass(z)) / (2 * Density(z)));
            if (next <= z)
            {
                break;
            }

            z = next;
        }

        return z;
    }

    /// <summary>Returns Φ(z) − Φ(−z) for z ≥ 0, by the series 2 φ(z) · (z + z³/3 + z⁵/(3·5) + …) of positive terms.</summary>
    private static double CentralMass(double z)
    {
        double term = z, sum = z;
        for (int divisor = 3; term > sum * 1e-17; divisor += 2)
        {
            term *= z * z / divisor;
            sum += term;
        }

        return 2 * Density(z) * sum;
    }

    private static double Density(double z) => Math.Exp(-z * z / 2) / Math.Sqrt(2 * Math.PI);
}

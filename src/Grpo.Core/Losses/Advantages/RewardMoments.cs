namespace Grpo.Losses;

/// <summary>The count, mean, standard deviation and extremes of a set of rewards.</summary>
/// <param name="Count">The number of rewards.</param>
/// <param name="Mean">The mean, or 0 if there are no rewards.</param>
/// <param name="StdDev">
/// The standard deviation with the divisor Count − 1. Exactly 0 if all rewards are equal or there are fewer than two.
/// </param>
/// <param name="Minimum">The smallest reward, or 0 if there are none.</param>
/// <param name="Maximum">The largest reward, or 0 if there are none.</param>
public readonly record struct RewardMoments(int Count, double Mean, double StdDev, double Minimum, double Maximum)
{
    /// <summary>True if there are at least two rewards and not all are equal.</summary>
    public bool HasSpread => Minimum < Maximum;

    /// <summary>Computes the moments of rewards.</summary>
    /// <param name="rewards">The rewards, finite.</param>
    /// <returns>The moments; all 0 without rewards.</returns>
    /// <exception cref="ArgumentException">
    /// A reward is NaN or ∞, or the rewards are so large that their mean or standard deviation overflows.
    /// </exception>
    public static RewardMoments Compute(IEnumerable<double> rewards)
    {
        RewardMoments moments = Measure([.. rewards]);
        return double.IsFinite(moments.Mean) && double.IsFinite(moments.StdDev)
            ? moments
            : throw new ArgumentException(FormattableString.Invariant(
                $"Rewards from {moments.Minimum} to {moments.Maximum} have mean {moments.Mean} and standard deviation {moments.StdDev}; ")
                + "both must be finite. Scale the rewards down.", nameof(rewards));
    }

    /// <summary>
    /// Computes the standard deviation alone. Unlike <see cref="Compute"/> it returns NaN or ∞ instead of throwing, for reports.
    /// </summary>
    internal static double ComputeStdDev(IEnumerable<double> rewards) => Measure([.. rewards]).StdDev;

    private static RewardMoments Measure(double[] values)
    {
        if (values.Length == 0)
        {
            return default;
        }

        double minimum = values.Min(), maximum = values.Max();
        if (minimum == maximum && double.IsFinite(minimum))
        {
            // The sum divided by the count may differ from the value (three times 0.1), and that residue would look like a spread.
            return new RewardMoments(values.Length, minimum, 0, minimum, maximum);
        }

        // Scale before squaring: the square of 1e200 overflows, and a standard deviation of ∞ would silently make all advantages 0.
        double mean = values.Sum() / values.Length;
        double scale = Math.Max(maximum - mean, mean - minimum);
        double squares = values.Sum(value => (value - mean) / scale * ((value - mean) / scale));
        return new RewardMoments(values.Length, mean, scale * Math.Sqrt(squares / (values.Length - 1)), minimum, maximum);
    }
}

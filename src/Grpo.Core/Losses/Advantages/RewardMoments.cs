namespace Grpo.Losses;

/// <summary>Count, mean, spread and extremes of some rewards.</summary>
/// <param name="Count">How many.</param>
/// <param name="Mean">Their mean; 0 when there are none.</param>
/// <param name="Deviation">Their standard deviation with Count − 1; exactly 0 when all are equal or there are fewer than two.</param>
/// <param name="Minimum">The smallest; 0 when there are none.</param>
/// <param name="Maximum">The largest; 0 when there are none.</param>
public readonly record struct RewardMoments(int Count, double Mean, double Deviation, double Minimum, double Maximum)
{
    /// <summary>At least two, not all equal.</summary>
    public bool HasSpread => Minimum < Maximum;

    /// <summary>Measures the rewards.</summary>
    /// <param name="rewards">Finite numbers.</param>
    /// <exception cref="ArgumentException">A reward is NaN or ∞, or they are so large that their mean or deviation is.</exception>
    public static RewardMoments Of(IEnumerable<double> rewards)
    {
        double[] values = [.. rewards];
        if (values.Length == 0)
        {
            return default;
        }

        double minimum = values.Min(), maximum = values.Max();
        if (minimum == maximum && double.IsFinite(minimum))
        {
            // Summing and dividing need not give back the value (three times 0.1), and the residue would pass for a spread.
            return new RewardMoments(values.Length, minimum, 0, minimum, maximum);
        }

        // Squares of scaled deviations: those of 1e200 would overflow, and a standard deviation of ∞ would silently give advantages of 0.
        double mean = values.Sum() / values.Length;
        double scale = Math.Max(maximum - mean, mean - minimum);
        double squares = values.Sum(value => (value - mean) / scale * ((value - mean) / scale));
        double deviation = scale * Math.Sqrt(squares / (values.Length - 1));
        if (!double.IsFinite(mean) || !double.IsFinite(deviation))
        {
            throw new ArgumentException(FormattableString.Invariant(
                $"Rewards from {minimum} to {maximum} have mean {mean} and standard deviation {deviation}; ")
                + "both must be finite. Scale the rewards down.", nameof(rewards));
        }

        return new RewardMoments(values.Length, mean, deviation, minimum, maximum);
    }
}

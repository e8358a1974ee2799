namespace Grpo.Evaluation;

/// <summary>A confidence interval, including both ends.</summary>
/// <param name="Low">The lower end.</param>
/// <param name="High">The upper end.</param>
public readonly record struct ConfidenceInterval(double Low, double High)
{
    /// <summary>Returns true if the interval contains a value.</summary>
    /// <param name="value">The value.</param>
    public bool Contains(double value) => Low <= value && value <= High;

    /// <summary>
    /// Returns true if two intervals overlap. Disjoint intervals mean different values; overlapping intervals decide nothing.
    /// </summary>
    /// <param name="other">The other interval.</param>
    public bool Overlaps(ConfidenceInterval other) => Low <= other.High && other.Low <= High;
}

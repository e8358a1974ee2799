namespace Grpo.Evaluation;

/// <summary>A confidence interval, both ends included.</summary>
/// <param name="Low">The lower end.</param>
/// <param name="High">The upper end.</param>
public readonly record struct ConfidenceInterval(double Low, double High)
{
    /// <summary>Whether a value lies inside.</summary>
    /// <param name="value">The value.</param>
    public bool Contains(double value) => Low <= value && value <= High;

    /// <summary>Whether the two have a point in common. Intervals apart mean different values; intervals that overlap decide nothing.</summary>
    /// <param name="other">The other interval.</param>
    public bool Overlaps(ConfidenceInterval other) => Low <= other.High && other.Low <= High;
}

namespace Grpo.Callbacks;

/// <summary>A linear axis of a chart. The distance of its ticks is 1, 2 or 5 times a power of ten.</summary>
internal sealed class Axis
{
    private Axis(double low, double high, double[] ticks)
    {
        Low = low;
        High = high;
        Ticks = ticks;
    }

    public double Low { get; }

    public double High { get; }

    public IReadOnlyList<double> Ticks { get; }

    /// <summary>Creates an axis for values, widened to its outer ticks.</summary>
    /// <param name="values">The values that the axis must contain. NaN is skipped.</param>
    /// <param name="withZero">True if the axis must contain 0.</param>
    public static Axis FromValues(IEnumerable<double> values, bool withZero)
    {
        double low = double.PositiveInfinity, high = double.NegativeInfinity;
        foreach (double value in values.Where(double.IsFinite))
        {
            low = Math.Min(low, value);
            high = Math.Max(high, value);
        }

        if (low > high)
        {
            (low, high) = (0, 1);
        }

        if (withZero)
        {
            (low, high) = (Math.Min(low, 0), Math.Max(high, 0));
        }

        // Values that are constant up to rounding still need an axis of positive length.
        if (high - low <= 1e-9 * Math.Max(Math.Abs(low), Math.Abs(high)))
        {
            double half = low == 0 ? 1 : 0.1 * Math.Abs(low);
            (low, high) = (withZero && low == 0 ? 0 : low - half, high + half);
        }

        double step = RoundStep((high - low) / 4);
        double first = Math.Floor((low / step) + 1e-9), last = Math.Ceiling((high / step) - 1e-9);
        return new Axis(first * step, last * step, [.. Enumerable.Range(0, (int)(last - first) + 1).Select(i => (first + i) * step)]);
    }

    /// <summary>The axis from 0 to 100 %.</summary>
    public static Axis Fraction { get; } = new(0, 1, [0, 0.25, 0.5, 0.75, 1]);

    /// <summary>Creates an axis for steps, with integer ticks inside its ends.</summary>
    public static Axis FromSteps(double low, double high)
    {
        if (high <= low)
        {
            return new Axis(low - 1, low + 1, [low]);
        }

        double step = Math.Max(1, RoundStep((high - low) / 5));
        double first = Math.Ceiling(low / step);
        return new Axis(low, high, [.. Enumerable.Range(0, (int)(Math.Floor(high / step) - first) + 1).Select(i => (first + i) * step)]);
    }

    /// <summary>Returns the position of a value, from 0 at <see cref="Low"/> to 1 at <see cref="High"/>.</summary>
    public double Position(double value) => Math.Clamp((value - Low) / (High - Low), 0, 1);

    private static double RoundStep(double raw)
    {
        double power = Math.Pow(10, Math.Floor(Math.Log10(raw)));
        return power * (raw / power) switch
        {
            <= 1.0000001 => 1,
            <= 2.0000001 => 2,
            <= 5.0000001 => 5,
            _ => 10,
        };
    }
}

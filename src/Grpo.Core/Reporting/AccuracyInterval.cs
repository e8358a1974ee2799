namespace Grpo.Reporting;

/// <summary>The 95 % interval of an accuracy.</summary>
internal static class AccuracyInterval
{
    private const double Z = 1.959963984540054; // two-sided 95 %

    /// <summary>Wilson's score interval: right also near 0 and 1, and for few items. NaN without items.</summary>
    public static (double Low, double High) Wilson(double accuracy, int count)
    {
        if (count <= 0 || !double.IsFinite(accuracy))
        {
            return (double.NaN, double.NaN);
        }

        double z2 = Z * Z / count;
        double center = (accuracy + (z2 / 2)) / (1 + z2);
        double half = Z / (1 + z2) * Math.Sqrt((accuracy * (1 - accuracy) / count) + (z2 / (4 * count)));
        return (Math.Max(0, center - half), Math.Min(1, center + half));
    }
}

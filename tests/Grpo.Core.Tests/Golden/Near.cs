namespace Grpo.Core.Tests.Golden;

/// <summary>Assertions on numbers that carry rounding noise.</summary>
internal static class Near
{
    /// <summary>|actual − expected| ≤ tolerance · max(1, |expected|).</summary>
    public static void Equal(double expected, double actual, double tolerance, string what)
    {
        // Written so that NaN fails.
        if (!(Math.Abs(actual - expected) <= tolerance * Math.Max(1, Math.Abs(expected))))
        {
            Assert.Fail(FormattableString.Invariant($"{what}: expected {expected:R}, got {actual:R}, tolerance {tolerance:R}."));
        }
    }

    /// <summary>The same for every element.</summary>
    public static void Equal(IReadOnlyList<float> expected, IReadOnlyList<float> actual, double tolerance, string what)
    {
        Assert.Equal(expected.Count, actual.Count);
        for (int i = 0; i < expected.Count; i++)
        {
            Equal(expected[i], actual[i], tolerance, $"{what} [{i}]");
        }
    }

    /// <summary>Equal up to a fraction of the largest magnitude: what summation order may change in a gradient.</summary>
    public static void EqualRelative(IReadOnlyList<float> expected, IReadOnlyList<float> actual, double tolerance, string what)
    {
        Assert.Equal(expected.Count, actual.Count);
        double scale = expected.Max(Math.Abs);
        for (int i = 0; i < expected.Count; i++)
        {
            if (!(Math.Abs(actual[i] - expected[i]) <= tolerance * scale))
            {
                Assert.Fail(FormattableString.Invariant(
                    $"{what} [{i}]: expected {expected[i]:R}, got {actual[i]:R}, tolerance {tolerance:R} of {scale:R}."));
            }
        }
    }
}

namespace Grpo.Callbacks;

/// <summary>How far apart two numbers are: equal ones not at all, NaN and NaN not at all, a number and none infinitely.</summary>
internal static class Distance
{
    public static double Of(double one, double other) =>
        one.Equals(other) ? 0 : Math.Abs(one - other) is var distance && double.IsNaN(distance) ? double.PositiveInfinity : distance;

    public static double Of(double? one, double? other) =>
        one is { } left && other is { } right ? Of(left, right) : one is null && other is null ? 0 : double.PositiveInfinity;

    /// <summary>Whether two numbers are equal up to a tolerance, which counts relative to numbers beyond 1.</summary>
    public static bool IsClose(double? one, double? other, double tolerance) => Of(one, other) <= tolerance * Math.Max(1, Math.Abs(one ?? 0));
}

namespace Grpo.Losses;

/// <summary>The range of the number that keeps a division by a standard deviation finite.</summary>
internal static class EpsilonRange
{
    public static IEnumerable<string> Check(double epsilon) => epsilon > 0 && double.IsFinite(epsilon)
        ? []
        : [FormattableString.Invariant($"Epsilon is {epsilon} but must be a finite number greater than 0.")];
}

using System.Globalization;

namespace Grpo.Losses;

/// <summary>Formats sentences about parameters that are out of range.</summary>
internal static class ParameterProblems
{
    /// <summary>Lists a sentence for each rule that does not hold. Rules are written so that they do not hold for NaN.</summary>
    public static IEnumerable<string> Find(string owner, params (bool Holds, string Name, object? Value, string Allowed)[] rules) =>
        rules.Where(rule => !rule.Holds).Select(rule =>
            string.Create(CultureInfo.InvariantCulture, $"{rule.Name} of {owner} is {rule.Value} but must be {rule.Allowed}."));

    /// <summary>Lists a sentence if an epsilon, which keeps a division by a standard deviation finite, is out of range.</summary>
    public static IEnumerable<string> FindInEpsilon(double epsilon) => epsilon > 0 && double.IsFinite(epsilon)
        ? []
        : [FormattableString.Invariant($"Epsilon is {epsilon} but must be a finite number greater than 0.")];
}

using System.Globalization;

namespace Grpo.Losses;

/// <summary>One wording for parameters out of range.</summary>
internal static class ParameterProblems
{
    /// <summary>A sentence per broken rule. Rules are written so that NaN breaks them.</summary>
    public static IEnumerable<string> Of(string owner, params (bool Holds, string Name, object? Value, string Allowed)[] rules) =>
        rules.Where(rule => !rule.Holds).Select(rule =>
            string.Create(CultureInfo.InvariantCulture, $"{rule.Name} of {owner} is {rule.Value} but must be {rule.Allowed}."));
}

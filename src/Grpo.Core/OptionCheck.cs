using System.Globalization;

namespace Grpo;

/// <summary>Writes the sentence about an option that is out of range, in one form for all options.</summary>
internal static class OptionCheck
{
    /// <summary>Adds a problem unless the option is in its range. NaN fails every range pattern, so it is reported too.</summary>
    /// <param name="problems">The list that the problem is added to.</param>
    /// <param name="holds">True if the value is allowed.</param>
    /// <param name="value">The value of the option.</param>
    /// <param name="allowed">The allowed values, in words.</param>
    /// <param name="name">The name of the option. Anything before its last dot is left out.</param>
    public static void Require<T>(List<string> problems, bool holds, T value, string allowed, string name)
    {
        if (!holds)
        {
            string option = name[(name.LastIndexOf('.') + 1)..];
            problems.Add(string.Create(CultureInfo.InvariantCulture, $"{option} is {value} but must be {allowed}."));
        }
    }
}

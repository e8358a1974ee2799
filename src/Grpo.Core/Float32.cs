using System.Globalization;

namespace Grpo;

/// <summary>Judges an option as the arithmetic sees it: in float32, where 1e-46 is 0, 1e300 is infinite and 1 − 1e-9 is 1.</summary>
internal static class Float32
{
    /// <summary>The smallest number that logits and losses are divided by: their quotients, and the squares of those, stay far below 3.4e38.</summary>
    public const double SmallestDivisor = 1e-6;

    /// <summary>The smallest bound of the gradient norm: norms end at 1.8e19, the root of the largest number, and are divided by it.</summary>
    public const double SmallestNorm = 1e-19;

    /// <summary>Says what float32 makes of a number: nothing (null), or a sentence if it is infinite, 0 or about to be.</summary>
    /// <param name="name">The option.</param>
    /// <param name="value">Its value, 0 or more.</param>
    /// <param name="zeroIsAllowed">Whether 0 is a value of its own, such as "off".</param>
    public static string? Problem(string name, double value, bool zeroIsAllowed = false)
    {
        float seen = (float)value;
        string? problem = seen switch
        {
            _ when !float.IsFinite(seen) => "which float32 cannot hold; use 3.4E+38 or less",
            0 when value != 0 => "which float32 rounds to 0; use 1.2E-38 or more",
            _ when float.IsSubnormal(seen) => "which float32 holds with fewer digits or as 0; use 1.2E-38 or more",
            _ => null,
        };
        bool isSmall = problem is not null && Math.Abs(value) < 1;
        return problem is null ? null : Text($"{name} is {value}, {problem}{(isSmall && zeroIsAllowed ? ", or 0" : "")}.");
    }

    /// <summary>Says that a number below 1 is 1 in float32; null if it is not.</summary>
    /// <param name="name">The option.</param>
    /// <param name="value">Its value, 0 to below 1.</param>
    public static string? ProblemBelow1(string name, double value) =>
        (float)value < 1 ? null : Text($"{name} is {value}, which float32 rounds to 1; use 0.9999999 or less.");

    /// <summary>Says that a distance from 1 is lost in float32; null if it is not.</summary>
    /// <param name="name">The option.</param>
    /// <param name="owner">The method that it belongs to.</param>
    /// <param name="distance">Its value, above 0.</param>
    /// <param name="isBelow">Whether it is subtracted from 1 and not added.</param>
    public static string? ProblemNear1(string name, string owner, double distance, bool isBelow) =>
        (float)(isBelow ? 1 - distance : 1 + distance) != 1
            ? null
            : Text($"{name} of {owner} is {distance}, so that 1 {(isBelow ? '-' : '+')} {name} is 1 in float32; use 1E-07 or more.");

    /// <summary>Collects the sentences of a method's parameters.</summary>
    public static IEnumerable<string> Problems(params string?[] problems) => problems.OfType<string>();

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}

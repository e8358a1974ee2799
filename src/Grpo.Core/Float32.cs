using System.Globalization;

namespace Grpo;

/// <summary>Checks whether float32 can hold the value of an option: 1e-46 becomes 0, 1e300 infinite, and 1 − 1e-9 becomes 1.</summary>
internal static class Float32
{
    /// <summary>The smallest number that logits and losses may be divided by. The squares of the quotients stay far below 3.4e38.</summary>
    public const double SmallestDivisor = 1e-6;

    /// <summary>
    /// The smallest bound of the gradient norm. Norms reach 1.8e19, the root of the largest number, and are divided by the bound.
    /// </summary>
    public const double SmallestNorm = 1e-19;

    /// <summary>Describes the problem of a number that float32 rounds to infinity, to 0 or to a subnormal; null if there is none.</summary>
    /// <param name="name">The name of the option.</param>
    /// <param name="value">The value of the option, 0 or more.</param>
    /// <param name="zeroIsAllowed">True if 0 is a value of its own, such as "off".</param>
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

    /// <summary>Describes the problem of a number below 1 that float32 rounds to 1; null if it does not.</summary>
    /// <param name="name">The name of the option.</param>
    /// <param name="value">The value of the option, 0 to below 1.</param>
    public static string? ProblemBelow1(string name, double value) =>
        (float)value < 1 ? null : Text($"{name} is {value}, which float32 rounds to 1; use 0.9999999 or less.");

    /// <summary>Describes the problem of a distance from 1 that float32 rounds away; null if it does not.</summary>
    /// <param name="name">The name of the option.</param>
    /// <param name="owner">The name of the method that the option belongs to.</param>
    /// <param name="distance">The value of the option, above 0.</param>
    /// <param name="isBelow">True if the distance is subtracted from 1, false if it is added.</param>
    public static string? ProblemNear1(string name, string owner, double distance, bool isBelow) =>
        (float)(isBelow ? 1 - distance : 1 + distance) != 1
            ? null
            : Text($"{name} of {owner} is {distance}, so that 1 {(isBelow ? '-' : '+')} {name} is 1 in float32; use 1E-07 or more.");

    /// <summary>Returns those of the given sentences that are not null.</summary>
    public static IEnumerable<string> Problems(params string?[] problems) => problems.OfType<string>();

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}

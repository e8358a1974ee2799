using System.Globalization;
using System.Text.RegularExpressions;

namespace Grpo.Samples.Gsm8k;

/// <summary>A parser of amounts of memory as people write them: 24GB, 24GiB, 24000MB.</summary>
internal static partial class MemorySize
{
    private static readonly Dictionary<string, double> Units = new(StringComparer.OrdinalIgnoreCase)
    {
        ["kB"] = 1e3,
        ["MB"] = 1e6,
        ["GB"] = 1e9,
        ["TB"] = 1e12,
        ["KiB"] = 1L << 10,
        ["MiB"] = 1L << 20,
        ["GiB"] = 1L << 30,
        ["TiB"] = 1L << 40,
    };

    /// <summary>Parses an amount and returns it in bytes.</summary>
    /// <exception cref="ArgumentException">The text is not an amount, or is not between 1 byte and a petabyte.</exception>
    public static long Parse(string text)
    {
        Match match = Amount().Match(text);
        if (!match.Success || !Units.TryGetValue(match.Groups["unit"].Value, out double unit))
        {
            throw new ArgumentException(
                $"--memory is '{text}' but must be a number with its unit, one of {string.Join(", ", Units.Keys)}: 24GB, 7.5GiB, 24000MB.");
        }

        double bytes = double.Parse(match.Groups["number"].Value, CultureInfo.InvariantCulture) * unit;
        return bytes is >= 1 and <= 1e15
            ? (long)bytes
            : throw new ArgumentException($"--memory is '{text}' but must be above 0 and at most 1000TB.");
    }

    [GeneratedRegex(
        @"^ *(?<number>[0-9]{1,18}(?:\.[0-9]{1,18})?) *(?<unit>[A-Za-z]{2,3}) *$",
        RegexOptions.NonBacktracking | RegexOptions.CultureInvariant)]
    private static partial Regex Amount();
}

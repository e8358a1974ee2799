using System.Globalization;

namespace Grpo.Callbacks;

/// <summary>Formats numbers for readers; a missing number is a dash.</summary>
internal static class Numbers
{
    public const string Missing = "–";

    public static string Show(double? value) => value switch
    {
        null => Missing,
        { } number when !double.IsFinite(number) => Missing,
        { } number when Math.Abs(number) is < 1e-3 and > 0 or >= 1e7 => number.ToString("0.##e0", CultureInfo.InvariantCulture),
        { } number when Math.Abs(number) >= 1000 => number.ToString("#,0", CultureInfo.InvariantCulture),
        { } number when Math.Abs(number) >= 100 => number.ToString("0.#", CultureInfo.InvariantCulture),
        { } number => number.ToString("0.###", CultureInfo.InvariantCulture),
    };

    public static string Signed(double value) =>
        (value > 0 ? "+" : string.Empty) + Show(value).Replace('-', '−');

    public static string Percent(double? value) =>
        value is { } number && double.IsFinite(number) ? (100 * number).ToString("0.0", CultureInfo.InvariantCulture) + "\u00a0%" : Missing;

    /// <summary>Formats a fraction as a short percentage for axes and tables: 0.0035 as 0.35 %, and 0.5 as 50 %.</summary>
    public static string ShortPercent(double value) => double.IsFinite(value)
        ? Show(Math.Round(100 * value, Math.Abs(value) < 0.01 ? 3 : 1)) + "\u00a0%"
        : Missing;

    public static string Count(long value) => value.ToString("#,0", CultureInfo.InvariantCulture);

    public static string Time(TimeSpan time) => time.TotalSeconds < 60
        ? time.TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture) + "\u00a0s"
        : string.Create(CultureInfo.InvariantCulture, $"{(long)time.TotalHours}:{time.Minutes:00}:{time.Seconds:00} h");
}

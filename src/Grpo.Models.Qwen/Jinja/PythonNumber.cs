using System.Globalization;
using System.Numerics;

namespace Grpo.Models.Qwen.Jinja;

/// <summary>Python's text forms and rounding of numbers.</summary>
internal static class PythonNumber
{
    /// <summary>Prints a number as <c>repr</c> does: the shortest digits that read back, and exponents below -4 and above 15.</summary>
    public static string Print(double number)
    {
        if (!double.IsFinite(number))
        {
            return double.IsNaN(number) ? "nan" : number > 0 ? "inf" : "-inf";
        }

        string sign = double.IsNegative(number) ? "-" : "";
        if (number == 0)
        {
            return sign + "0.0";
        }

        (string digits, int exponent) = Digits(Math.Abs(number));
        if (exponent is < -4 or >= 16)
        {
            string fraction = digits.Length > 1 ? "." + digits[1..] : "";
            return string.Create(
                CultureInfo.InvariantCulture, $"{sign}{digits[0]}{fraction}e{(exponent < 0 ? '-' : '+')}{Math.Abs(exponent):00}");
        }

        return sign + (exponent < 0 ? "0." + new string('0', -exponent - 1) + digits
            : digits.Length > exponent + 1 ? digits[..(exponent + 1)] + "." + digits[(exponent + 1)..]
            : digits.PadRight(exponent + 1, '0') + ".0");
    }

    /// <summary>Rounds to decimal places as Python does: by the exact value, and halves to the even digit.</summary>
    /// <param name="number">A finite number.</param>
    /// <param name="places">The places after the point, from -400 to 400. A negative number rounds before the point.</param>
    public static double Round(double number, int places)
    {
        if (places > 350 || !double.IsFinite(number))
        {
            return number;
        }

        BigInteger scaled = Scale(Math.Abs(number), places);
        double rounded = double.Parse(
            string.Create(CultureInfo.InvariantCulture, $"{scaled}e{-places}"), NumberStyles.Float, CultureInfo.InvariantCulture);
        return double.IsNegative(number) ? -rounded : rounded;
    }

    /// <summary>Prints a finite number with a fixed number of places after the point.</summary>
    public static string Fixed(double number, int places)
    {
        string digits = Scale(Math.Abs(number), places).ToString(CultureInfo.InvariantCulture).PadLeft(places + 1, '0');
        string text = places == 0 ? digits : $"{digits[..^places]}.{digits[^places..]}";
        return double.IsNegative(number) ? "-" + text : text;
    }

    /// <summary>Reads a number as <c>float</c> does; null if the text is none.</summary>
    public static double? ParseFloat(string text)
    {
        string? digits = WithoutSeparators(text);
        if (digits is null)
        {
            return null;
        }

        string name = digits.TrimStart('+', '-').ToUpperInvariant();
        bool isNamed = digits.Length - name.Length <= 1 && name is "INF" or "INFINITY" or "NAN";
        double sign = digits.StartsWith('-') ? -1 : 1;
        const NumberStyles Style = NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent;
        return isNamed ? name == "NAN" ? double.NaN : sign * double.PositiveInfinity
            : name.Length > 0 && (char.IsAsciiDigit(name[0]) || name[0] == '.')
                && double.TryParse(digits, Style, CultureInfo.InvariantCulture, out double number) ? number
            : null;
    }

    /// <summary>Reads a whole number in decimal as <c>int</c> does; null if the text is none.</summary>
    public static BigInteger? ParseInteger(string text) =>
        WithoutSeparators(text) is { } digits && digits.Length <= JinjaLimits.IntegerDigits
        && BigInteger.TryParse(digits, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out BigInteger number) ? number : null;

    // An underscore may stand between two digits.
    private static string? WithoutSeparators(string text)
    {
        // Python reads the decimal digits of every script.
        string trimmed = string.Concat(PythonText.Strip(text, null, start: true, end: true).Select(letter =>
            letter > '\u007F' && CharUnicodeInfo.GetDecimalDigitValue(letter) is >= 0 and int digit ? (char)('0' + digit) : letter));
        for (int i = 0; i < trimmed.Length; i++)
        {
            bool isBetween = i > 0 && i + 1 < trimmed.Length && char.IsAsciiDigit(trimmed[i - 1]) && char.IsAsciiDigit(trimmed[i + 1]);
            if (trimmed[i] > '\u007F' || (trimmed[i] == '_' && !isBetween))
            {
                return null;
            }
        }

        return trimmed.Replace("_", "", StringComparison.Ordinal);
    }

    // round(number * 10^places), where a half goes to the even number. The arithmetic is exact.
    private static BigInteger Scale(double number, int places)
    {
        long bits = BitConverter.DoubleToInt64Bits(number);
        int exponent = (int)((bits >> 52) & 0x7FF);
        BigInteger top = exponent == 0 ? bits & 0xFFFFFFFFFFFFF : (bits & 0xFFFFFFFFFFFFF) | 0x10000000000000;
        int shift = Math.Max(exponent, 1) - 1075;
        BigInteger bottom = shift < 0 ? BigInteger.One << -shift : BigInteger.One;
        top = shift < 0 ? top : top << shift;
        (top, bottom) = places >= 0 ? (top * BigInteger.Pow(10, places), bottom) : (top, bottom * BigInteger.Pow(10, -places));
        BigInteger whole = BigInteger.DivRem(top, bottom, out BigInteger rest);
        int half = (rest * 2).CompareTo(bottom);
        return half > 0 || (half == 0 && !whole.IsEven) ? whole + 1 : whole;
    }

    // The digits without a point, and the exponent of the first.
    private static (string Digits, int Exponent) Digits(double number)
    {
        string shortest = number.ToString("R", CultureInfo.InvariantCulture);
        int e = shortest.IndexOf('E', StringComparison.Ordinal);
        string mantissa = e < 0 ? shortest : shortest[..e];
        string digits = mantissa.Replace(".", "", StringComparison.Ordinal).TrimStart('0').TrimEnd('0');
        int point = mantissa.IndexOf('.', StringComparison.Ordinal);
        int whole = point < 0 ? mantissa.Length : point;
        int leading = mantissa.Replace(".", "", StringComparison.Ordinal).TakeWhile(letter => letter == '0').Count();
        int shift = e < 0 ? 0 : int.Parse(shortest.AsSpan(e + 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);
        return (digits, whole - leading - 1 + shift);
    }
}

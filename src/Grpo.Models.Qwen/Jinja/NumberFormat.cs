using System.Globalization;
using System.Numerics;

namespace Grpo.Models.Qwen.Jinja;

/// <summary>Numbers in the formats of Python's <c>%</c> and <c>format</c>.</summary>
internal static class NumberFormat
{
    private const int MostPlaces = 400;

    /// <summary>Prints a number with a fixed number of places after the point.</summary>
    public static string Fixed(Rendering run, object? value, int places)
    {
        object number = Operators.Sign(run, isMinus: false, value);
        double real = Operators.ToDouble(run, number);
        return !double.IsFinite(real) ? PythonNumber.Print(real)
            : places <= MostPlaces ? run.Text(PythonNumber.Fixed(real, places))
            : throw run.Error($"a number is printed with {places} places; {MostPlaces} are supported.");
    }

    /// <summary>Prints a number without its fraction.</summary>
    public static string Whole(Rendering run, object? value) => Operators.Sign(run, isMinus: false, value) switch
    {
        double number when !double.IsFinite(number) => throw run.Error($"{PythonNumber.Print(number)} has no whole part."),
        double number => new BigInteger(number).ToString(CultureInfo.InvariantCulture),
        object number => run.Text(((BigInteger)number).ToString(CultureInfo.InvariantCulture)),
    };

    /// <summary>Prints a whole number in hexadecimal.</summary>
    public static string Hexadecimal(Rendering run, BigInteger number, bool isUpper)
    {
        string digits = BigInteger.Abs(number).ToString(isUpper ? "X" : "x", CultureInfo.InvariantCulture).TrimStart('0');
        return run.Text((number.Sign < 0 ? "-" : "") + (digits.Length == 0 ? "0" : digits));
    }
}

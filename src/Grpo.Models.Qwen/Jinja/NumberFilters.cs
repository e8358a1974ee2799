using System.Numerics;

namespace Grpo.Models.Qwen.Jinja;

/// <summary>The filters that make numbers.</summary>
internal static class NumberFilters
{
    public static object? Int(Rendering run, object? value, Arguments arguments)
    {
        object?[] values = arguments.Bind(run, "int", "default", "base");
        if (!Comparisons.AreEqual(run, Arguments.Or(values[1], new BigInteger(10)), new BigInteger(10)))
        {
            throw run.Error("'int' supports the base 10 only.");
        }

        object? otherwise = Arguments.Or(values[0], BigInteger.Zero);
        return value switch
        {
            BigInteger => value,
            bool truth => truth ? BigInteger.One : BigInteger.Zero,
            double number => double.IsFinite(number) ? new BigInteger(number) : otherwise,
            string or Markup => (object?)Parse(ValueText.Str(run, value)) ?? otherwise,
            Undefined missing => throw run.Error(missing.Reason),
            _ => otherwise,
        };
    }

    public static object? Float(Rendering run, object? value, Arguments arguments)
    {
        object? otherwise = Arguments.Or(arguments.Bind(run, "float", "default")[0], 0.0);
        return value switch
        {
            BigInteger or double or bool => Operators.ToDouble(run, Operators.Sign(run, isMinus: false, value)),
            string or Markup => PythonNumber.ParseFloat(ValueText.Str(run, value)) ?? otherwise,
            Undefined missing => throw run.Error(missing.Reason),
            _ => otherwise,
        };
    }

    public static object Abs(Rendering run, object? value, Arguments arguments)
    {
        arguments.Bind(run, "abs");
        return Operators.Sign(run, isMinus: false, value) switch
        {
            double number => Math.Abs(number),
            object number => BigInteger.Abs((BigInteger)number),
        };
    }

    public static object Round(Rendering run, object? value, Arguments arguments)
    {
        object?[] values = arguments.Bind(run, "round", "precision", "method");
        BigInteger precision = Sequences.Index(run, Arguments.Or(values[0], BigInteger.Zero));
        string method = ValueText.Str(run, Arguments.Or(values[1], "common"));
        if (method is not ("common" or "ceil" or "floor") || BigInteger.Abs(precision) > 300)
        {
            throw run.Error("'round' takes a precision of -300 to 300, and the method common, ceil or floor.");
        }

        object number = Operators.Sign(run, isMinus: false, value);
        int places = (int)precision;
        if (method == "common")
        {
            return number is double real ? PythonNumber.Round(real, places)
                : places >= 0 ? number
                : throw run.Error("'round' of a whole number with a negative precision is not supported.");
        }

        object power = Operators.Apply(run, "**", new BigInteger(10), precision)!;
        double scaled = Operators.ToDouble(run, Operators.Apply(run, "*", number, power));
        double whole = method == "ceil" ? Math.Ceiling(scaled) : Math.Floor(scaled);
        return double.IsFinite(whole)
            ? Operators.Apply(run, "/", new BigInteger(whole), power)!
            : throw run.Error($"'round' of {PythonNumber.Print(whole)} has no whole number.");
    }

    public static object? Sum(Rendering run, object? value, Arguments arguments)
    {
        object?[] values = arguments.Bind(run, "sum", "attribute", "start");
        object? attribute = Arguments.Or(values[0], null), sum = Arguments.Or(values[1], BigInteger.Zero);
        if (sum is string or Markup)
        {
            throw run.Error("'sum' does not join texts. Use 'join'.");
        }

        foreach (object? item in Sequences.Iterate(run, value))
        {
            run.Step();
            sum = Operators.Apply(run, "+", sum, SelectFilters.Path(run, item, attribute));
        }

        return sum;
    }

    // int("3.7") fails in Python, and the filter then goes over a float.
    private static BigInteger? Parse(string text)
    {
        if (PythonNumber.ParseInteger(text) is { } number)
        {
            return number;
        }

        return PythonNumber.ParseFloat(text) is { } real && double.IsFinite(real) ? new BigInteger(real) : null;
    }
}

using System.Numerics;

namespace Grpo.Models.Qwen.Jinja;

/// <summary>Python's arithmetic on numbers, texts and lists.</summary>
internal static class Operators
{
    private const long LargestExactDouble = 1L << 53;

    /// <summary>Computes <c>left operator right</c>.</summary>
    /// <exception cref="ChatTemplateException">The types do not fit, or the result would be too large.</exception>
    public static object? Apply(Rendering run, string operation, object? left, object? right)
    {
        (object? a, object? b) = (Number(left), Number(right));
        return (a, b) switch
        {
            (BigInteger m, BigInteger n) => Integers(run, operation, m, n),
            (BigInteger or double, BigInteger or double) => Floats(run, operation, ToDouble(run, a), ToDouble(run, b)),
            (Undefined missing, _) => throw run.Error(missing.Reason),
            (string format, _) when operation == "%" => PercentFormat.Apply(run, format, right),
            (_, Undefined missing) => throw run.Error(missing.Reason),
            _ => (operation, a, b) switch
            {
                ("+", string m, string n) => Join(run, m, n),
                ("+", Markup or string, Markup or string) => new Markup(Join(run, Html.Escaped(run, a), Html.Escaped(run, b))),
                ("+", JinjaList m, JinjaList n) => run.List([.. m.Items, .. n.Items]),
                ("+", JinjaTuple m, JinjaTuple n) => new JinjaTuple(run.List([.. m.Items, .. n.Items]).Items),
                ("*", string or JinjaList or JinjaTuple, BigInteger n) => Repeat(run, a, n),
                ("*", BigInteger m, string or JinjaList or JinjaTuple) => Repeat(run, b, m),
                _ => throw run.Error(
                    $"'{operation}' does not work with the types {ValueText.TypeOf(left)} and {ValueText.TypeOf(right)}."),
            },
        };
    }

    /// <summary>Computes <c>-value</c> or <c>+value</c>.</summary>
    public static object Sign(Rendering run, bool isMinus, object? value) => Number(value) switch
    {
        BigInteger number => isMinus ? run.Integer(-number) : number,
        double number => isMinus ? -number : number,
        Undefined missing => throw run.Error(missing.Reason),
        _ => throw run.Error($"'{(isMinus ? '-' : '+')}' does not work with the type {ValueText.TypeOf(value)}."),
    };

    /// <summary>Converts a number, or fails if it is too large.</summary>
    public static double ToDouble(Rendering run, object? number)
    {
        double result = number is BigInteger integer ? (double)integer : (double)number!;
        return number is double || double.IsFinite(result) ? result : throw run.Error("a whole number is too large for a float.");
    }

    private static object? Number(object? value) => value is bool truth ? truth ? BigInteger.One : BigInteger.Zero : value;

    private static string Join(Rendering run, string left, string right)
    {
        run.Charge((long)left.Length + right.Length);
        return left + right;
    }

    private static object Repeat(Rendering run, object? value, BigInteger count)
    {
        int times = (int)BigInteger.Clamp(count, 0, int.MaxValue);
        if (value is string text)
        {
            run.Charge((long)text.Length * times);
            return string.Concat(Enumerable.Repeat(text, text.Length == 0 ? 0 : times));
        }

        IReadOnlyList<object?> items = Sequences.Iterate(run, value);
        run.Charge(8L * items.Count * times);
        List<object?> all = [.. Enumerable.Repeat(items, items.Count == 0 ? 0 : times).SelectMany(part => part)];
        return value is JinjaTuple ? new JinjaTuple(all) : new JinjaList(all);
    }

    private static object Integers(Rendering run, string operation, BigInteger left, BigInteger right)
    {
        if (operation is "/" or "//" or "%" && right.IsZero)
        {
            throw run.Error($"'{operation}' divides by zero.");
        }

        long words = Words(left.GetBitLength()), others = Words(right.GetBitLength());
        run.Work(operation is "+" or "-" ? words + others : words * others);
        return operation switch
        {
            "+" => run.Integer(left + right),
            "-" => run.Integer(left - right),
            "*" => run.Integer(left * right),
            "//" => run.Integer(FloorDivide(left, right)),
            "%" => run.Integer(left - (FloorDivide(left, right) * right)),
            "**" => Power(run, left, right),
            _ => BigInteger.Abs(left) <= LargestExactDouble && BigInteger.Abs(right) <= LargestExactDouble
                ? (double)left / (double)right
                : throw run.Error("'/' divides whole numbers beyond 2**53, which is not supported."),
        };
    }

    // A product takes as many steps of the processor as the product of the numbers of words.
    private static long Words(long bits) => 1 + (bits / 32);

    private static BigInteger FloorDivide(BigInteger left, BigInteger right)
    {
        BigInteger quotient = BigInteger.DivRem(left, right, out BigInteger rest);
        return rest.Sign != 0 && rest.Sign != right.Sign ? quotient - 1 : quotient;
    }

    private static object Power(Rendering run, BigInteger number, BigInteger exponent)
    {
        if (exponent.Sign < 0)
        {
            return number.IsZero
                ? throw run.Error("0 has no negative power.")
                : Math.Pow(ToDouble(run, number), ToDouble(run, exponent));
        }

        bool isSmall = number.IsZero || BigInteger.Abs(number).IsOne;
        long bits = isSmall ? 1 : (long)BigInteger.Min(exponent, int.MaxValue) * Math.Max(1, number.GetBitLength() - 1);
        if (bits > JinjaLimits.IntegerBits)
        {
            throw run.Error($"the power has more than {JinjaLimits.IntegerDigits} digits.");
        }

        run.Work(Words(bits) * Words(bits));
        return run.Integer(BigInteger.Pow(number, isSmall ? (int)(exponent.IsZero ? 0 : 2 - (exponent % 2)) : (int)exponent));
    }

    private static double Floats(Rendering run, string operation, double left, double right)
    {
        if (operation is "/" or "//" or "%" && right == 0)
        {
            throw run.Error($"'{operation}' divides by zero.");
        }

        return operation switch
        {
            "+" => left + right,
            "-" => left - right,
            "*" => left * right,
            "/" => left / right,
            "//" => Math.Floor((left - Modulo(left, right)) / right + 0.5),
            "%" => Modulo(left, right),
            _ => Math.Pow(left, right) is var power && double.IsFinite(power) == (double.IsFinite(left) && double.IsFinite(right))
                ? power
                : throw run.Error("the power is no finite number."),
        };
    }

    // The result has the sign of the divisor.
    private static double Modulo(double left, double right)
    {
        double rest = left % right;
        return rest == 0 ? Math.CopySign(0, right) : (rest < 0) != (right < 0) ? rest + right : rest;
    }
}
